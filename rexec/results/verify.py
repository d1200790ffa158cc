"""Whether a result file holds what it should: by its own checksums, or against the run's state."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rexec.results._codec import encode
from rexec.results.checksums import checksum
from rexec.results.errors import ResultsError, ResultsMismatch, reason
from rexec.results.fold import RunState
from rexec.results.item import Item
from rexec.results.names import hdf5_names
from rexec.results.storage import form_in_file
from rexec.results.values import value_of


def verify_against(path: Path, state: RunState) -> None:
    """Reopen a file and compare it with the state it was made of.

    Raises:
        ResultsMismatch: A dataset is missing, or has another shape or content.

    """
    problems: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            problems += [f"{name} is missing" for name in ("rid", "expid", "rexec") if name not in file]
            for group, items in (("datasets", state.datasets), ("archive", state.archive)):
                problems += _compare(file, group, items, state.notes.get("storage", {}))
    except OSError as error:
        problems.append(str(error))
    if problems:
        raise ResultsMismatch(f"{path} does not hold what the run has kept: {'; '.join(problems[:5])}")


def _compare(
    file: h5py.File, group: str, items: Mapping[str, Item], settings: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    for key, name in hdf5_names(items).items():
        dataset = file.get(f"{group}/{name}")
        if not isinstance(dataset, h5py.Dataset):
            yield f"{group}/{name} is missing"
            continue
        opaque = dataset.attrs.get("rexec_form") == "journal"
        form = form_in_file(items[key].value, settings.get(key, {}), opaque=opaque)
        if np.shape(form.data) != dataset.shape:
            yield f"{group}/{name} has shape {dataset.shape}, not {np.shape(form.data)}"
        elif not _holds(dataset, form.data, items[key].value):
            yield f"{group}/{name} has other content"


def _holds(dataset: h5py.Dataset, data: Any, value: Any) -> bool:
    found = checksum(dataset[()])
    if found != dataset.attrs["rexec_crc32"]:
        return False
    # One value may have several texts: the unused bytes of a long double are whatever was there.
    return found == checksum(data) or (
        dataset.attrs.get("rexec_form") == "pyon" and encode(value_of(dataset)) == encode(value)
    )


def has_checksums(path: Path) -> bool:
    """Return whether a result file has checksums of its values: those of this toolkit have, ARTIQ's have none."""
    with h5py.File(path, "r") as file:
        return "rexec" in file


def verify(path: Path) -> list[str]:
    """Return what is wrong with a result file by its own checksums; an empty list: nothing.

    A file that ARTIQ wrote has no checksums: then only whether everything in it can be read.

    Raises:
        ResultsError: It cannot be opened at all.

    """
    problems: list[str] = []

    def look(name: str, node: object) -> None:
        if not isinstance(node, h5py.Dataset):
            return
        try:
            found = checksum(node[()])
        except (OSError, ValueError) as error:
            problems.append(f"{name} cannot be read: {error}")
            return
        expected = node.attrs.get("rexec_crc32")
        if expected is not None and found != expected:
            problems.append(f"{name} has checksum {found:08x}, written was {int(expected):08x}")

    try:
        with h5py.File(path, "r") as file:
            file.visititems(look)
    except OSError as error:
        raise ResultsError(f"cannot open {path}: {reason(error)}; it is no HDF5 file, or damaged") from error
    return problems

"""Whether a result file holds what the run has kept."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from devicedb.opening import once_free
from rexec.ground.kept import has_kept
from rexec.results._files import HELD
from rexec.results.errors import ResultsMismatch
from rexec.results.fold import RunState
from rexec.results.hdf5.beside import form_of_part
from rexec.results.hdf5.checksums import checksum, checksum_in_file
from rexec.results.hdf5.forms import form_of
from rexec.results.hdf5.lean import stored_number
from rexec.results.hdf5.names import hdf5_names
from rexec.results.hdf5.rows import list_row
from rexec.results.hdf5.settings import form_in_file
from rexec.results.hdf5.values import value_of
from rexec.results.item import Item
from rexec.results.journal._encode import encode


def verify_against(path: Path, state: RunState) -> None:
    """Reopen a file and compare it with the state it was made of.

    Raises:
        ResultsMismatch: A dataset, or a part beside one, is missing, or has another shape or content.

    """
    problems: list[str] = []
    try:
        with once_free(lambda: h5py.File(path, "r"), refusals=HELD) as file:
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
    inside = file.get(group)
    for key, name in hdf5_names(items).items():
        if isinstance(inside, h5py.Group) and _is_number(inside, name, items[key].value, settings.get(key)):
            continue
        dataset = file.get(f"{group}/{name}")
        if not isinstance(dataset, h5py.Dataset):
            yield f"{group}/{name} is missing"
            continue
        if items[key].released or has_kept(items[key].value):
            yield from _compare_rows(dataset, items[key], f"{group}/{name}")
            continue
        # An object of another class has its class beside its bytes, where only its own form is opaque.
        opaque = dataset.attrs.get("rexec_form") == "journal" and "rexec_class" not in dataset.attrs
        form = form_in_file(items[key].value, settings.get(key, {}), opaque=opaque)
        if np.shape(form.data) != dataset.shape:
            yield f"{group}/{name} has shape {dataset.shape}, not {np.shape(form.data)}"
        elif not _holds(dataset, form.data, items[key].value):
            yield f"{group}/{name} has other content"
        else:
            yield from _compare_beside(dataset, form.beside)


def _compare_rows(dataset: h5py.Dataset, item: Item, name: str) -> Iterator[str]:
    """Compare a list whose rows are not in memory: its checksum was made of them as the journal gave them."""
    value = item.value
    row = getattr(value[-1], "shape", ()) if value else dataset.shape[1:]
    if (item.released or list_row(value) is not None) and dataset.shape != (item.rows, *row):
        yield f"{name} has shape {dataset.shape}, not {item.rows} rows of {row}"
    elif checksum_in_file(dataset) != dataset.attrs["rexec_crc32"]:
        yield f"{name} has other content"


def _is_number(group: h5py.Group, name: str, value: Any, settings: Any) -> bool:
    """Return whether a value is a single number that the file holds as such, with the right checksum."""
    if settings or not isinstance(value, int | float | np.generic):
        return False
    found = stored_number(group, name)
    return found is not None and checksum(form_of(value).data) == checksum(found[0]) == found[1]


def _compare_beside(dataset: h5py.Dataset, parts: Mapping[str, Any]) -> Iterator[str]:
    """Compare what belongs to a dataset beside its array: mask, index, coordinates."""
    if parts:
        path = dataset.attrs.get("rexec_beside")
        yield from _compare_parts(dataset.name, None if path is None else dataset.file.get(path), parts)


def _compare_parts(owner: str, group: Any, parts: Mapping[str, Any]) -> Iterator[str]:
    for name, value in parts.items():
        part = group.get(name) if isinstance(group, h5py.Group) else None
        form = form_of_part(name, value)
        if form is None:
            yield from _compare_parts(f"{owner}, {name}", part, value)
        elif not isinstance(part, h5py.Dataset):
            yield f"{name} of {owner} is missing"
        elif np.shape(form.data) != part.shape or not _holds(part, form.data, value):
            yield f"{name} of {owner} has other content"
        else:
            yield from _compare_beside(part, form.beside)


def _holds(dataset: h5py.Dataset, data: Any, value: Any) -> bool:
    found = checksum_in_file(dataset)
    if found != dataset.attrs["rexec_crc32"]:
        return False
    # One value may have several texts: the unused bytes of a long double are whatever was there.
    return found == checksum(data) or (
        dataset.attrs.get("rexec_form") == "pyon" and encode(value_of(dataset)) == encode(value)
    )

"""The result file as a whole: identity first, ARTIQ's two groups, and what is ours under `/rexec`."""

import copy
import logging
import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from rexec._version import __version__
from rexec.results.fold import RunState
from rexec.results.hdf5.datasets import GroupWriter
from rexec.results.hdf5.forms import form_of
from rexec.results.hdf5.nexus import write_plot
from rexec.results.hdf5.reserve import reserve, upper_size, write_empty
from rexec.results.hdf5.texts import pyon_text
from rexec.results.item import Item

_log = logging.getLogger(__name__)

LAYOUT_VERSION: Final = 1
"""Version of what is under `/rexec`."""

_AT_ROOT: Final = frozenset({"rid", "start_time", "run_time", "artiq_version", "expid"})
_WHO: Final = ("person", "person_known_by", "machine", "program")
_TOO_WASTEFUL: Final = 2**20
_SMALL_HOLES: Final = 2**16


class FoldedFile:
    """An HDF5 file that is kept equal to a run's state, at the cost of what changed.

    The file is closed between updates, so that what is on the disk is whole then.

    Args:
        path: The file; it is made by the first update.
        identifier: Identifier of the journal that the state comes from.

    """

    def __init__(self, path: Path, identifier: bytes) -> None:
        self.path = path
        self._identifier: Final = identifier
        self._begun = False
        self._lost = 0
        self._datasets = GroupWriter("datasets")
        self._archive = GroupWriter("archive")
        self._refused: list[str] = []
        self._epoch = 0

    @property
    def problems(self) -> list[str]:
        """What HDF5 refused so far, as text."""
        return list(self._refused)

    @property
    def is_begun(self) -> bool:
        """Whether it holds a state already: rows of that state may be in it alone."""
        return self._begun

    def held_rows(self, key: str, item: Item) -> int | None:
        """Return how many rows of a list are in the file and need not be in memory; None: that is not known yet."""
        return self._datasets.held_rows(key, item, self._epoch)

    def twin(self, path: Path) -> "FoldedFile":
        """Return the same for a copy of the file at another path."""
        twin = copy.deepcopy(self)
        twin.path = path
        return twin

    def update(self, state: RunState, *, compact: bool = False, only: Collection[str] | None = None) -> None:
        """Bring the file up to date with `state`.

        Args:
            state: The state; a new epoch of it begins, unless only a part of it is written.
            compact: Write the file anew if changes have left holes in it that are worth it.
            only: The datasets that are brought up to date; None: all of both groups.

        Raises:
            OSError: The file cannot be written; it is then of no use, and the next update starts over.
            RowsReleased: It needs rows of a list that are not in memory; it is then of no use, too.

        """
        if self._begun and not self.path.exists():
            self._start_over()
        if self._begun and self._lost > _worth_compacting(self.path.stat().st_size, compact):
            self._compact()
        try:
            if not self._begun:
                write_empty(self.path)
            written = state.datasets if only is None else {key: state.datasets[key] for key in only}
            added = self._datasets.upper_size(written, self._epoch) + upper_size(state.identity)
            added += self._archive.upper_size(state.archive, self._epoch)
            added += upper_size("\n".join(state.degraded))
            reserve(self.path, self.path.stat().st_size + added)
            with h5py.File(self.path, "r+") as file:
                self._begun = True
                _write_identity(file, state.identity)
                ours = _write_ours(file, state, self._identifier)
                storage = state.notes.get("storage", {})
                refused = self._datasets.update(
                    file, state.datasets, storage, self._epoch, hurry=compact, only=only
                )
                refused += self._archive.update(file, state.archive, storage, self._epoch)
                self._refused += [problem for problem in refused if problem not in self._refused]
                _write_lines(ours, "problems", state.problems + self._refused)
                _write_lines(ours, "degraded", list(state.degraded))
                if only is None:  # else its datasets may not be there yet
                    write_plot(file, state.notes.get("plot"), self._datasets.names)
                file.flush()
                # HDF5 forgets the holes of a file when it is closed.
                self._lost += int(file.id.get_freespace())
        except BaseException:
            self._start_over()
            raise
        if only is None:
            state.epoch += 1
            self._epoch = state.epoch

    def _compact(self) -> None:
        """Copy what is in the file into a new one, which has no holes; values are not needed for that."""
        other = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            write_empty(other)
            reserve(other, self.path.stat().st_size)
            with h5py.File(self.path, "r") as source, h5py.File(other, "r+") as target:
                for name in source:
                    source.copy(name, target)
                for name, value in source.attrs.items():
                    target.attrs[name] = value
            other.replace(self.path)
        except OSError as error:
            # A disk without room for both: the holes stay, and what is new has room or has not.
            _log.info("%s keeps its holes: %s", self.path, error)
        finally:
            other.unlink(missing_ok=True)
        self._lost = 0

    def _start_over(self) -> None:
        self._begun = False
        self._lost = 0
        self._epoch = 0
        self._datasets = GroupWriter("datasets")
        self._archive = GroupWriter("archive")
        self._refused = []


def _worth_compacting(size: int, final: bool) -> int:
    return max(_SMALL_HOLES, size // 10) if final else max(_TOO_WASTEFUL, size // 2)


def write_groups(file: h5py.File, state: RunState) -> None:
    """Write the groups `datasets` and `archive` into an open file, as ARTIQ's manager does."""
    storage = state.notes.get("storage", {})
    GroupWriter("datasets").update(file, state.datasets, storage)
    GroupWriter("archive").update(file, state.archive, storage)


def _write_identity(file: h5py.File, identity: Mapping[str, Any]) -> None:
    if identity.get("simulated"):
        file.attrs["simulated"] = True  # where every viewer of such files shows it
    _set(file, "rid", np.int64(identity.get("rid", 0)))
    for name in ("start_time", "run_time"):
        if identity.get(name) is not None:
            _set(file, name, np.float64(identity[name]))
    _set(file, "artiq_version", str(identity.get("artiq_version", "")))
    _set(file, "expid", pyon_text(identity.get("expid", {})))


def _write_ours(file: h5py.File, state: RunState, identifier: bytes) -> h5py.Group:
    ours = file.require_group("rexec")
    ours.attrs["layout"] = LAYOUT_VERSION
    ours.attrs["version"] = __version__
    ours.attrs["journal"] = identifier.hex()
    ours.attrs["records"] = state.records
    ours.attrs["journal_size"] = state.size
    ours.attrs["written"] = time.time()
    ours.attrs["last_change"] = state.last_time
    ours.attrs["status"] = "running" if state.end is None else str(state.end.get("status", "ended"))
    if state.end is not None and state.end.get("error"):
        _set(ours, "error", str(state.end["error"]))
    for name in _WHO:  # again as attributes, which a catalogue reads without opening a dataset each
        if isinstance(value := state.identity.get(name), str):
            ours.attrs[name] = value[:1000].replace("\0", "").encode("utf-8", "replace").decode()
    for name, value in state.identity.items():
        if name not in _AT_ROOT and value not in (None, {}, []):
            if name == "sources":
                for digest, text in value.items():
                    _set(ours, f"sources/{digest}", text)
            else:
                _set(ours, name, value if isinstance(value, str | int | float) else pyon_text(value))
    _write_comparisons(ours, state.notes.get("comparisons", []))
    return ours


def _write_comparisons(ours: h5py.Group, comparisons: list[dict[str, Any]]) -> None:
    """Write when a bridge compared what it held with what there was, and between which moments it missed changes."""
    if comparisons:
        _set(ours, "comparisons", pyon_text(comparisons))
    gaps = [(each["lost"], each["time"]) for each in comparisons if each["lost"] is not None]
    if gaps:
        _set(ours, "gaps", np.array(gaps))


def _write_lines(ours: h5py.Group, name: str, lines: list[str]) -> None:
    if lines:
        _set(ours, name, "\n".join(lines))
    elif name in ours:
        del ours[name]


def _set(group: h5py.Group, name: str, value: Any) -> None:
    """Write a small dataset, or leave it when it holds that value already."""
    form = form_of(value)
    if name in group:
        old = group[name]
        held = (
            old.asstr()[()] if isinstance(form.data, str) and h5py.check_string_dtype(old.dtype) else old[()]
        )
        if np.array_equal(held, form.data):
            return
        del group[name]
    dataset = group.create_dataset(name, data=form.data, dtype=form.dtype)
    if "rexec_form" in form.attributes:
        dataset.attrs.update(form.attributes)

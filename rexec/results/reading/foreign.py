"""Finds what stands at our names in an HDF5 file from anywhere, without believing that it is ours.

A file may have other kinds of objects at our names, links that lead out of it, references, null dataspaces, attributes
of any type, and datasets that declare terabytes. Whatever h5py raises of such a thing is a fault of the file.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
from h5py import h5o

from devicedb.opening import once_free
from devicedb.printable import printable
from rexec.results.errors import ResultsError, reason
from rexec.results.hdf5.inside import DEEPEST, FOREIGN_ERRORS


def open_foreign(path: Path) -> h5py.File:
    """Open a file for reading.

    Raises:
        ResultsError: It is not there, may not be read, is no regular file (opening a FIFO would wait for its writer),
            or no HDF5 file.

    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            what = "it is a folder" if path.is_dir() else "it is no regular file"
            raise ResultsError(f"cannot open {path}: {what}; name a result file")
        return once_free(lambda: h5py.File(path, "r"))
    except FileNotFoundError as error:
        raise ResultsError(f"there is no result file {path}") from error
    except PermissionError as error:
        held = ", or another program has it open: close that" if os.name == "nt" else ""
        raise ResultsError(
            f"cannot open {path}: {reason(error)}; you need the right to read it{held}"
        ) from error
    except FOREIGN_ERRORS as error:
        why = reason(error) if isinstance(error, OSError) else error
        raise ResultsError(
            f"cannot open {path}: {why}; it is no HDF5 file, or damaged. Where its journal is still beside it, "
            f"`rexec results recover {path.parent}` makes it anew"
        ) from error


class reading:  # noqa: N801 - read as `with reading(...)`
    """Names what could not be read: a context in which whatever h5py raises becomes a ResultsError.

    Args:
        what: "dataset 'x' of run.h5", or a function that returns it once there is an error.

    """

    __slots__ = ("_what",)

    def __init__(self, what: str | Callable[[], str]) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        if not isinstance(error, FOREIGN_ERRORS) or isinstance(error, ResultsError):
            return
        what = self._what if isinstance(self._what, str) else self._what()
        text = " ".join(printable(str(error), keep="\n").split())
        raise ResultsError(f"{what} cannot be read: {type(error).__name__}: {text[:300]}") from error


def dataset_paths(group: h5py.Group) -> list[str]:
    """Return the paths of all datasets below a group that hard links lead to; no object is opened for it.

    The first group that `is_too_deep` ends the list.
    """
    found: list[str] = []

    def look(name: bytes, info: Any) -> bool | None:
        if info.type == h5o.TYPE_DATASET:
            found.append(_text(name))
        return _ends(name)

    h5o.visit(group.id, look, info=True)
    return found


def is_too_deep(group: h5py.Group) -> bool:
    """Return whether there are groups below a group that are nested so deeply that `dataset_paths` gives up."""
    return bool(group.id.links.visit(lambda name, _: _ends(name), info=True))


def external_links(group: h5py.Group) -> dict[str, str]:
    """Return the links below a group that lead into other files: path, and "file:path".

    The first group that `is_too_deep` ends the list.
    """
    found: dict[str, str] = {}

    def look(name: bytes, info: Any) -> bool | None:
        if info.type == h5py.h5l.TYPE_EXTERNAL:
            file, path = group.id.links.get_val(name)
            found[_text(name)] = f"{_text(file)}:{_text(path)}"
        return _ends(name)

    group.id.links.visit(look, info=True)
    return found


def _ends(name: bytes) -> bool | None:
    """Return True, which ends a visit, at a group that is too deep: HDF5 visits by recursion, until the stack ends."""
    return True if name.count(b"/") >= DEEPEST else None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")

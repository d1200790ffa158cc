"""Small members of an HDF5 file, by the library's own functions: through h5py's objects it would take twice as long.

Only hard links are followed. Data that are in another file are not read.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5p, h5s

from rexec.results.hdf5.inside import DEEPEST, FOREIGN_ERRORS

MOST_NAMES: Final = 10_000
"""Maximum number of members of a group that are read."""

LARGEST: Final = 1 << 24
"""Maximum bytes of a single value; a larger one is not read."""

_ACCESS: Final = h5p.create(h5p.FILE_ACCESS)
_ACCESS.set_fclose_degree(h5f.CLOSE_STRONG)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a regular file, and give the identifier of its root group."""
    file = h5f.open(os.fsencode(path), h5f.ACC_RDONLY, _ACCESS)
    try:
        yield h5g.open(file, b"/")
    finally:
        file.close()


def names(group: Any) -> dict[str, None]:
    """Return the members of a group that hard links lead to."""
    found: dict[str, None] = {}
    looked = 0

    def look(name: bytes, info: Any) -> bool | None:
        nonlocal looked
        looked += 1
        if info.type == h5l.TYPE_HARD:
            found[name.decode("utf-8", "surrogateescape")] = None
        return True if looked >= MOST_NAMES else None

    group.links.iterate(look, info=True)
    return found


def inner(group: Any, name: str) -> Any:
    """Return the identifier of the group at a name; None: there is none."""
    try:
        found = h5o.open(group, _encoded(name))
    except FOREIGN_ERRORS:
        return None
    return found if isinstance(found, h5g.GroupID) else None


def datasets_below(group: Any) -> list[str]:
    """Return the paths of the datasets below a group."""
    found: list[str] = []
    looked = 0

    def look(name: bytes, info: Any) -> bool | None:
        nonlocal looked
        looked += 1
        if info.type == h5o.TYPE_DATASET:
            found.append(name.decode("utf-8", "surrogateescape"))
        return True if looked >= MOST_NAMES or name.count(b"/") > DEEPEST else None

    h5o.visit(group, look, info=True)
    return found


def dataset(group: Any, name: str) -> Any:
    """Return the identifier of a dataset; raise what h5py raises if there is none."""
    return h5d.open(group, _encoded(name))


def single(node: Any) -> Any:
    """Return the value of a dataset of one value; None if it has more, is too large, or is in another file."""
    if node.get_space().get_simple_extent_type() != h5s.SCALAR:
        return None
    kind = node.get_type()
    properties = node.get_create_plist()
    if kind.get_size() > LARGEST or properties.get_layout() == h5d.VIRTUAL or properties.get_external_count():
        return None
    value = np.empty((), kind.dtype)
    node.read(h5s.ALL, h5s.ALL, value)
    return value[()]


def value(group: Any, name: str) -> Any:
    """Return the value of the dataset of one value at a name; None: there is none."""
    try:
        return single(dataset(group, name))
    except FOREIGN_ERRORS:
        return None


def attribute_names(node: Any) -> set[str]:
    """Return the names of the attributes of an object."""
    found: list[bytes] = []
    h5a.iterate(node, lambda name: found.append(name))
    return {name.decode("utf-8", "surrogateescape") for name in found}


def attribute(node: Any, name: str) -> Any:
    """Return the value of an attribute of one value; None: there is none."""
    try:
        found = h5a.open(node, _encoded(name))
        if found.get_space().get_simple_extent_type() != h5s.SCALAR or found.get_type().get_size() > LARGEST:
            return None
        value = np.empty((), found.dtype)
        found.read(value)
        return value[()]
    except FOREIGN_ERRORS:
        return None


def type_of(node: Any) -> str:
    """Return type and shape of a dataset in a few words."""
    shape = " x ".join(map(str, node.shape))
    kind = node.dtype
    described = "text" if h5py.check_string_dtype(kind) else str(kind)
    return f"{described} {shape}".rstrip()


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")

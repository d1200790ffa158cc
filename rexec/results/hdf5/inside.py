"""What lies in an HDF5 file itself, and what it says is in other files: links and storage may lead out of any file."""

from typing import Any, Final

import h5py
from h5py import h5d

FOREIGN_ERRORS: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What h5py, NumPy and our decoders raise of content that is not what its place says."""

DEEPEST: Final = 100
"""Levels of groups in which datasets are looked for: HDF5 takes the square of the depth in time, or more."""

_MOST_SOURCES: Final = 10_000
"""Largest number of source datasets of a virtual dataset that is read."""


def member(group: h5py.Group, path: str, kind: type[Any]) -> Any:
    """Return the object of this kind at a path below a group, or None; links are not followed out of the file."""
    node: Any = group
    for part in path.split("/"):
        if not isinstance(node, h5py.Group):
            return None
        try:
            link = node.get(part, getlink=True)
            if isinstance(link, h5py.SoftLink):
                start = group.file if link.path.startswith("/") else node
                node = member(start, link.path.strip("/"), h5py.Group | h5py.Dataset)
            elif isinstance(link, h5py.HardLink):
                node = node[part]
            else:
                return None
        except (*FOREIGN_ERRORS, RecursionError):  # a soft link to itself
            return None
    return node if isinstance(node, kind) else None


def outside(dataset: h5py.Dataset) -> str | None:
    """Return the file that holds the data of a dataset, where it is another one (external or virtual storage)."""
    waiting: list[h5py.Dataset] = [dataset]
    looked_at: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.id.get_offset() is not None:  # it is at one place in this file, which is asked faster
            continue
        made = node.id.get_create_plist()
        if made.get_external_count():
            return str(node.external[0][0])
        if made.get_layout() != h5d.VIRTUAL:
            continue
        # Its parts may be virtual, too, and lead out of the file in their turn.
        for source in node.virtual_sources():
            if source.file_name != ".":
                return str(source.file_name)
            if source.dset_name in looked_at:
                continue
            looked_at.add(source.dset_name)
            if len(looked_at) > _MOST_SOURCES:
                return "more than can be told"
            part = member(node.file, source.dset_name.strip("/"), h5py.Dataset)
            if part is None:  # HDF5 would follow an external link
                return f"which {source.dset_name} leads to"
            waiting.append(part)
    return None

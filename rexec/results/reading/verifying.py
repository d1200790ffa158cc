"""Whether a result file holds what was written, by the checksums in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import h5py

from devicedb.printable import printable
from rexec.results.errors import ResultsError
from rexec.results.hdf5.checksums import checksum_in_file
from rexec.results.hdf5.inside import DEEPEST, member, outside
from rexec.results.reading.foreign import dataset_paths, is_too_deep, open_foreign, reading
from rexec.results.status import status_of

_MOST_COMPRESSED: Final = 2000
"""How many times smaller than its content a file may be; deflate reaches 1,032."""


def verify(path: Path) -> list[str]:
    """Return what is wrong with a result file by its own checksums; an empty list: nothing.

    A file that ARTIQ wrote has no checksums: then only whether everything in it can be read. A file whose run was
    killed lacks what is in its journal only.

    Raises:
        ResultsError: It cannot be opened at all.

    """
    with open_foreign(path) as file:
        with reading(f"the list of objects of {path}"):
            paths, is_partly = dataset_paths(file), is_too_deep(file)
        room = path.stat().st_size * _MOST_COMPRESSED
        problems = [problem for name in paths for problem in _problems(file, name, room)]
        if is_partly:
            problems.append(f"groups are nested deeper than {DEEPEST} levels: not all of it was read")
    status = status_of(path)
    return [*problems, str(status)] if status.state == "killed" else problems


def has_checksums(path: Path) -> bool:
    """Return whether a result file has checksums of its values: those of this toolkit have, ARTIQ's have none."""
    with open_foreign(path) as file:
        return member(file, "rexec", h5py.Group) is not None


def _problems(file: h5py.File, name: str, room: int) -> Iterator[str]:
    try:
        with reading(printable(name)):
            node = file[name]
            if outside(node) is not None:
                yield f"{name} has its data in another file, {outside(node)}, which is not looked at"
                return
            if node.nbytes > room:
                yield f"{name} declares {node.nbytes} bytes, more than a file of this size holds; it is not read"
                return
            found, expected = checksum_in_file(node), node.attrs.get("rexec_crc32")
            if expected is not None and found != int(expected):
                yield f"{name} has checksum {found:08x}, written was {int(expected):08x}"
    except ResultsError as error:
        yield str(error)

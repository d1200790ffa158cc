"""Looks at an LMDB file before it is mapped: a cut or damaged one would end the process (SIGBUS, failed assertions).

The file is read, not mapped. Its layout is that of LMDB 0.9 on 64-bit machines: pages; two of them hold the roots (meta
pages), the others the nodes of two trees, that of the data and that of the free pages.
"""

import os
import shutil
import stat
import struct
from pathlib import Path
from typing import Final, NamedTuple

from devicedb.opening import once_free
from rexec.datasets.errors import DatabaseUnreadable, DatasetError

MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_META: Final = struct.Struct("<16xIIQQ48s48sQQ")
"""Page header, magic, version, address, size of the map, trees of free pages and of data, last page, transaction."""
_TREE: Final = struct.Struct("<IHHQQQQQ")
_HEADER: Final = struct.Struct("<QHHHH")
"""Number of the page, padding, flags, lower and upper end of its free space."""
_NODE: Final = struct.Struct("<HHHH")
_BRANCH, _LEAF, _OVERFLOW, _META_PAGE, _BIG = 1, 2, 4, 8, 1
_NO_PAGE: Final = 2**64 - 1
_MAX_LEVELS: Final = 32
_ATTEMPTS: Final = 20
_SIZES: Final = frozenset({512, 1024, 2048, 4096, 8192, 16384, 32768})


class Meta(NamedTuple):
    """What a meta page says: page size, roots of both trees, last page in use, number of the transaction."""

    page_size: int
    roots: tuple[int, int]
    last_page: int
    transaction: int

    @property
    def size(self) -> int:
        """Bytes that the file must have."""
        return (self.last_page + 1) * self.page_size


class Damaged(ValueError):
    """The file contradicts itself."""


def refused(path: Path, error: Exception) -> DatasetError:
    """Return the error for a file that the system refuses to open, perhaps for the moment."""
    said = (
        " ".join(str(getattr(error, "strerror", None) or error).split()).removeprefix(f"{path}: ").rstrip(".")
    )
    remedy = (
        f"Close the program that has it open (or {path.name}-lock), or name one that you may read and write"
    )
    try:
        if not shutil.disk_usage(path.parent).free:
            remedy = "Make room on its disk"
    except OSError:
        remedy = f"Look whether {path.parent} is still there"
    return DatasetError(f"cannot open the dataset database {path}: {said}. {remedy}")


def check_file(path: Path) -> None:
    """Raise DatabaseUnreadable unless a file can be mapped and read as a whole; one that is missing or empty can.

    Raises:
        DatabaseUnreadable: It is no file, no LMDB file, cut, or damaged.
        DatasetError: The system refuses to read it.
        OSError: It cannot be read.

    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise DatabaseUnreadable(f"the dataset database {path} is {kind}; name another with --dataset-db")
    try:
        opened = once_free(lambda: path.open("rb"))
    except PermissionError as error:
        raise refused(path, error) from error
    with opened as file:
        size = os.fstat(file.fileno()).st_size
        if not size or struct.calcsize("P") != 8:
            return
        try:
            _check_open(file.fileno())
        except (Damaged, struct.error) as error:
            raise DatabaseUnreadable(
                f"cannot open the dataset database {path}: {error}. Put a copy of it back, or move it away to start "
                "with an empty one"
            ) from None


def _check_open(descriptor: int) -> None:
    """Check an open file; again where another process has written into it meanwhile."""
    for _ in range(_ATTEMPTS):
        meta = read_meta(descriptor)
        size = os.fstat(descriptor).st_size
        try:
            if size < meta.size:
                raise Damaged(f"it has {size} bytes of {meta.size}: it was cut")
            _Walk(descriptor, meta).check()
        except (Damaged, struct.error):
            if read_meta(descriptor).transaction == meta.transaction:
                raise
        else:
            return
    # Whoever writes so much at this moment has it open, and would have failed.


def read_meta(descriptor: int) -> Meta:
    """Return the newer meta page of an open file.

    Raises:
        Damaged: There is none.

    """
    first = _meta_at(descriptor, 0)
    size = first.page_size if first is not None else _page_size_by_search(descriptor)
    second = _meta_at(descriptor, size) if size else None
    metas = [meta for meta in (first, second) if meta is not None]
    if not metas:
        raise Damaged("it is no LMDB file, or damaged")
    return max(metas, key=lambda meta: meta.transaction)


def pread(descriptor: int, count: int, offset: int) -> bytes:
    """Return bytes at an offset; on Windows, too."""
    if hasattr(os, "pread"):
        return bytes(os.pread(descriptor, count, offset))
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, count)


def _meta_at(descriptor: int, offset: int) -> Meta | None:
    data = pread(descriptor, _META.size, offset)
    if len(data) < _META.size:
        return None
    magic, version, _, _, free, main, last, transaction = _META.unpack(data)
    flags = _HEADER.unpack_from(data)[2]
    page_size = _TREE.unpack(free)[0]
    if magic != MAGIC or version != _VERSION or not flags & _META_PAGE or page_size not in _SIZES:
        return None
    return Meta(page_size, (_TREE.unpack(free)[7], _TREE.unpack(main)[7]), last, transaction)


def _page_size_by_search(descriptor: int) -> int | None:
    """Return the page size where the first meta page is unreadable: the place of the second one."""
    return next((size for size in sorted(_SIZES) if _meta_at(descriptor, size) is not None), None)


class _Walk:
    """Visits every page of both trees once."""

    def __init__(self, descriptor: int, meta: Meta) -> None:
        self._descriptor = descriptor
        self._meta = meta
        self._seen: set[int] = set()

    def check(self) -> None:
        """Raise Damaged where a page or node is not what it should be."""
        for root in self._meta.roots:
            if root != _NO_PAGE:
                self._page(root, 0)

    def _claim(self, number: int, count: int = 1) -> None:
        for each in range(number, number + count):
            if not 1 < each <= self._meta.last_page or each in self._seen:
                raise Damaged(f"it is damaged: page {each} is used twice, or is none")
            self._seen.add(each)

    def _page(self, number: int, level: int) -> None:
        if level > _MAX_LEVELS:
            raise Damaged("it is damaged: its tree does not end")
        self._claim(number)
        size = self._meta.page_size
        page = pread(self._descriptor, size, number * size)
        own, _, flags, lower, upper = _HEADER.unpack_from(page)
        kind = flags & (_BRANCH | _LEAF | _OVERFLOW | _META_PAGE)
        if (
            own != number
            or kind not in (_BRANCH, _LEAF)
            or not 16 <= lower <= upper <= size
            or len(page) < size
        ):
            raise Damaged(f"it is damaged: page {number} is no page of its tree")
        before: bytes | None = None
        for position in range(16, lower, 2):
            (offset,) = struct.unpack_from("<H", page, position)
            if not upper <= offset <= size - _NODE.size:
                raise Damaged(f"it is damaged: page {number} has a node outside")
            low, high, node_flags, key_size = _NODE.unpack_from(page, offset)
            data = offset + _NODE.size + key_size
            if data > size:
                raise Damaged(f"it is damaged: page {number} has a key outside")
            if kind == _BRANCH:
                self._page(low | high << 16 | node_flags << 32, level + 1)
                continue
            key = page[offset + _NODE.size : data]
            if key == before:
                raise Damaged(f"it is damaged: page {number} has a name twice")
            before = key
            length = low | high << 16
            if node_flags & _BIG:
                self._large(page, number, data, length)
            elif node_flags or data + length > size:
                raise Damaged(f"it is damaged: page {number} has a value outside")

    def _large(self, page: bytes, number: int, offset: int, length: int) -> None:
        """Check a value that has pages of its own."""
        size = self._meta.page_size
        if offset + 8 > size:
            raise Damaged(f"it is damaged: page {number} has a value outside")
        (first,) = struct.unpack_from("<Q", page, offset)
        count = -(-(length + 16) // size)
        self._claim(first, count)
        own, _, flags, low, high = _HEADER.unpack(pread(self._descriptor, _HEADER.size, first * size))
        if own != first or not flags & _OVERFLOW or (low | high << 16) < count:
            raise Damaged(f"it is damaged: page {first} is no page of a value")

"""A file that LMDB could not map and read as a whole is refused, with what is wrong; any other is not."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lmdb
import pytest

from rexec.datasets import DatabaseUnreadable, _lmdb_check
from rexec.datasets._lmdb_check import MAGIC, Meta, check_file, pread, read_meta, refused

NONE = 2**64 - 1
SIZE = 512
BRANCH, LEAF, OVERFLOW, META = 1, 2, 4, 8


class Node(NamedTuple):
    """A node: of a leaf a name and the length of its value, of a branch the number of a page as length and flags."""

    key: bytes
    length: int
    data: bytes = b""
    flags: int = 0
    key_size: int | None = None


def meta(
    size: int, last: int, root: int, transaction: int, magic: int = MAGIC, version: int = 1, flags: int = META
) -> bytes:
    trees = [struct.pack("<IHHQQQQQ", size, 0, 0, 0, 0, 0, 0, page) for page in (NONE, root)]
    header = struct.pack("<QHHHH", 0, 0, flags, 0, 0)
    return (
        header
        + struct.pack("<IIQQ", magic, version, 0, 0)
        + b"".join(trees)
        + struct.pack("<QQ", last, transaction)
    )


def page(number: int, kind: int, *nodes: Node, size: int = SIZE, shift: int = 0) -> bytes:
    """Return a page with its nodes at its end, the first one last; `shift` moves them further, out of it."""
    places, body = [], b""
    for node in nodes:
        key_size = len(node.key) if node.key_size is None else node.key_size
        head = struct.pack("<HHHH", node.length & 0xFFFF, node.length >> 16 & 0xFFFF, node.flags, key_size)
        body = head + node.key + node.data + body
        places.append(size - len(body) + shift)
    lower, upper = 16 + 2 * len(nodes), size - len(body)
    start = struct.pack("<QHHHH", number, 0, kind, lower, upper) + struct.pack(f"<{len(places)}H", *places)
    return start + bytes(upper - len(start)) + body


def to(number: int) -> Node:
    """Return a node of a branch that leads to a page."""
    return Node(b"", number & 0xFFFFFFFF, flags=number >> 32)


def large(length: int, first: int, key: bytes = b"name") -> Node:
    """Return a node of a leaf whose value has pages of its own."""
    return Node(key, length, struct.pack("<Q", first), 1)


def value(number: int, pages: int, kind: int = OVERFLOW) -> bytes:
    return struct.pack("<QHHHH", number, 0, kind, pages & 0xFFFF, pages >> 16)


def write(path: Path, pages: dict[int, bytes], last: int | None = None, size: int = SIZE) -> None:
    """Write a file whose tree of data begins at page 2."""
    end = max(pages) if last is None else last
    with path.open("wb") as file:
        for number, data in ({number: meta(size, end, 2, number) for number in (0, 1)} | pages).items():
            file.seek(number * size)
            file.write(data)
        file.truncate((end + 1) * size)


def chain(length: int) -> dict[int, bytes]:
    branches = {number: page(number, BRANCH, to(number + 1)) for number in range(2, length + 1)}
    return branches | {length + 1: page(length + 1, LEAF, Node(b"x", 1, b"1"))}


WHOLE: dict[str, tuple[dict[int, bytes], int | None]] = {
    "one leaf": ({2: page(2, LEAF, Node(b"a", 3, b"123"), Node(b"b", 4, b"1234"))}, None),
    "no node": ({2: page(2, LEAF)}, None),
    "an empty value at the end": ({2: page(2, LEAF, Node(b"name", 0))}, None),
    "a value with its own page": ({2: page(2, LEAF, large(400, 3)), 3: value(3, 1)}, None),
    "more pages than needed": ({2: page(2, LEAF, large(400, 3)), 3: value(3, 2**16)}, None),
    "a large value": ({2: page(2, LEAF, large(2**17 + 5, 3)), 3: value(3, 257)}, 259),
    "the most levels": (chain(33), None),
    "no names in a branch": ({2: page(2, BRANCH, to(3), to(4)), 3: page(3, LEAF), 4: page(4, LEAF)}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_is_taken(tmp_path: Path, name: str) -> None:
    pages, last = WHOLE[name]
    write(tmp_path / "x", pages, last)
    check_file(tmp_path / "x")


DAMAGED: dict[str, tuple[dict[int, bytes], int | None, str]] = {
    "a page twice": ({2: page(2, BRANCH, to(3), to(3)), 3: page(3, LEAF)}, None, "page 3 is used twice, or is none"),
    "a meta page": ({2: page(2, BRANCH, to(1))}, None, "page 1 is used twice, or is none"),
    "beyond the last": ({2: page(2, BRANCH, to(3))}, None, "page 3 is used twice, or is none"),
    "a high number": ({2: page(2, BRANCH, to(2**16 + 3)), 3: page(3, LEAF)}, None, f"page {2**16 + 3} is"),
    "a very high number": ({2: page(2, BRANCH, to(2**32 + 3)), 3: page(3, LEAF)}, None, f"page {2**32 + 3} is"),
    "too many levels": (chain(34), None, "its tree does not end"),
    "another page": ({2: page(3, LEAF)}, None, "page 2 is no page of its tree"),
    "a page of a value": ({2: page(2, OVERFLOW)}, None, "page 2 is no page of its tree"),
    "a page of both kinds": ({2: page(2, BRANCH | LEAF)}, None, "page 2 is no page of its tree"),
    "no room for the places": ({2: struct.pack("<QHHHH", 2, 0, LEAF, 15, 512)}, None, "page 2 is no page of its"),
    "an end beyond the page": ({2: struct.pack("<QHHHH", 2, 0, LEAF, 16, 513)}, None, "page 2 is no page of its"),
    "a node outside": ({2: page(2, LEAF, Node(b"a", 1, b"1"), shift=6)}, None, "page 2 has a node outside"),
    "a key outside": ({2: page(2, LEAF, Node(b"a", 1, b"1", key_size=3))}, None, "page 2 has a key outside"),
    "a branch's key outside": ({2: page(2, BRANCH, Node(b"", 3, key_size=1)), 3: page(3, LEAF)}, None, "has a key out"),
    "a name twice": ({2: page(2, LEAF, Node(b"a", 1, b"1"), Node(b"a", 1, b"1"))}, None, "page 2 has a name twice"),
    "a value too long": ({2: page(2, LEAF, Node(b"a", 2, b"1"))}, None, "page 2 has a value outside"),
    "a value far too long": ({2: page(2, LEAF, Node(b"a", 2**16, b"1"))}, None, "page 2 has a value outside"),
    "several values": ({2: page(2, LEAF, Node(b"a", 1, b"1", flags=2))}, None, "page 2 has a value outside"),
    "a place outside": ({2: page(2, LEAF, Node(b"a", 400, b"1234567", 1))}, None, "page 2 has a value outside"),
    "a value beyond the last": ({2: page(2, LEAF, large(600, 3)), 3: value(3, 2)}, None, "page 4 is used twice"),
    "a value in a tree": ({2: page(2, LEAF, large(400, 2))}, None, "page 2 is used twice, or is none"),
    "two values in one": (
        {2: page(2, LEAF, large(600, 3), large(600, 4, b"x")), 3: value(3, 2), 4: value(4, 2)}, 5, "page 4 is used",
    ),
    "a value of another number": ({2: page(2, LEAF, large(400, 3)), 3: value(4, 1)}, None, "3 is no page of a value"),
    "a value in a branch": ({2: page(2, LEAF, large(400, 3)), 3: value(3, 1, BRANCH)}, None, "3 is no page of a value"),
    "too few pages": ({2: page(2, LEAF, large(600, 3)), 3: value(3, 1)}, 4, "page 3 is no page of a value"),
    "too few of many": ({2: page(2, LEAF, large(2**17, 3)), 3: value(3, 3)}, 300, "page 3 is no page of a value"),
    "too few of very many": (
        {2: page(2, LEAF, large((2**16 + 1) * SIZE - 16, 3)), 3: value(3, 2**16)}, 2**16 + 4, "3 is no page of a value",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_with_what_is_wrong(tmp_path: Path, name: str) -> None:
    pages, last, text = DAMAGED[name]
    write(tmp_path / "x", pages, last)
    with pytest.raises(DatabaseUnreadable, match=f"it is damaged: .*{text}.*Put a copy of it back"):
        check_file(tmp_path / "x")


@pytest.mark.parametrize("size", [2**power for power in range(9, 16)])
def test_every_size_of_pages_is_known_by_either_meta_page(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x"
    write(path, {2: page(2, LEAF, size=size)}, size=size)
    for broken in (None, 0, 1):
        data = bytearray(path.read_bytes())
        if broken is not None:
            data[broken * size : broken * size + 512] = bytes(512)
        (tmp_path / "y").write_bytes(data)
        check_file(tmp_path / "y")


def read(path: Path) -> Meta:
    with path.open("rb") as file:
        return read_meta(file.fileno())


@pytest.mark.parametrize("newer", [0, 1])
def test_the_newer_meta_page_counts(tmp_path: Path, newer: int) -> None:
    metas = {newer: meta(SIZE, 3, 2, 8), 1 - newer: meta(SIZE, 9, 7, 7)}
    write(tmp_path / "x", {2: page(2, LEAF), **metas}, 3)
    assert read(tmp_path / "x") == Meta(SIZE, (NONE, 2), 3, 8)
    check_file(tmp_path / "x")


@pytest.mark.parametrize(
    "wrong",
    [
        meta(SIZE, 2, 2, 1, magic=MAGIC + 1),
        meta(SIZE, 2, 2, 1, version=2),
        meta(SIZE, 2, 2, 1, flags=BRANCH),
        meta(SIZE + 1, 2, 2, 1),
    ],
    ids=["magic", "version", "kind", "page size"],
)
def test_a_meta_page_is_one_by_all_of_its_marks(tmp_path: Path, wrong: bytes) -> None:
    write(tmp_path / "x", {0: wrong, 1: wrong, 2: page(2, LEAF)})
    with pytest.raises(DatabaseUnreadable, match="it is no LMDB file, or damaged"):
        check_file(tmp_path / "x")


def test_a_file_that_was_cut_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write(path, {2: page(2, LEAF)})
    for length, text in (
        (3 * SIZE - 1, "it has 1535 bytes of 1536: it was cut"),
        (152, "it was cut"),
        (151, "no LMDB"),
    ):
        os.truncate(path, length)
        with pytest.raises(DatabaseUnreadable, match=text):
            check_file(path)
    os.truncate(path, 0)
    check_file(path)
    path.unlink()
    check_file(path)


def test_a_refusal_names_what_to_do_also_where_its_folder_has_gone(tmp_path: Path) -> None:
    error = PermissionError(13, "Permission denied", "x")
    where = tmp_path / "x"
    assert str(refused(where, error)) == (
        f"cannot open the dataset database {where}: Permission denied. Close the program that has it open "
        "(or x-lock), or name one that you may read and write"
    )
    gone = tmp_path / "gone" / "x"
    assert str(refused(gone, error)) == (
        f"cannot open the dataset database {gone}: Permission denied. Look whether {gone.parent} is still there"
    )


def test_what_lmdb_writes_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with lmdb.open(str(path), subdir=False, map_size=2**24) as env:
        for key, length in ((b"ab", 0), (b"even", 2**16 + 5), (b"large", 2**20), (b"small", 10)):
            with env.begin(write=True) as transaction:
                transaction.put(key, b"x" * length)
            check_file(path)


def test_a_file_that_another_process_changes_meanwhile_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    good: dict[int, bytes] = {2: page(2, LEAF)}
    bad: dict[int, bytes] = {2: page(3, LEAF)}

    def changing(*states: dict[int, bytes]) -> Callable[[int], Meta]:
        """Return a `read_meta` before each call of which another process has written a file, the last one for ever."""
        left = list(enumerate(states, 3))

        def read_after_change(descriptor: int) -> Meta:
            transaction, pages = left.pop(0) if len(left) > 1 else left[0]
            write(path, {1: meta(SIZE, 2, 2, transaction), **pages})
            return read_meta(descriptor)

        return read_after_change

    write(path, bad)
    monkeypatch.setattr(_lmdb_check, "read_meta", changing(bad, good, good))
    check_file(path)
    monkeypatch.setattr(_lmdb_check, "read_meta", changing(*[bad] * 100))
    check_file(path)  # the one who writes so much has opened it
    monkeypatch.setattr(_lmdb_check, "read_meta", changing(bad, bad, bad))
    with pytest.raises(DatabaseUnreadable, match="page 2 is no page of its tree"):
        check_file(path)


def test_bytes_at_an_offset_are_read_on_every_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"0123456789")
    with (tmp_path / "x").open("rb", buffering=0) as file:
        if hasattr(os, "pread"):
            assert pread(file.fileno(), 3, 4) == b"456"
            assert file.tell() == 0  # another thread may read at its place
        monkeypatch.delattr(os, "pread", raising=False)
        for offset, expected in ((4, b"456"), (2, b"234")):
            assert pread(file.fileno(), 3, offset) == expected

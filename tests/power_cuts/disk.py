"""A model of a disk: what was written, what was synced, and what a loss of power may leave of it.

The rules are those that POSIX leaves a file system, not those of a kinder one. Until `fsync` of a file returns, any of
the writes since the last one may be on the disk, in any order and in part. Until `fsync` of a folder returns, any of
the names made, changed or removed in it may be, those of one name in their order. Neither says anything of the other.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.power_cuts.recording import Op

_SECTOR: Final = 512

Names = dict[str, "Inode"]
Tree = dict[str, bytes | None]
"""What is in a folder: content by relative path; None: a folder."""


@dataclass(eq=False)
class Inode:
    """A file, whatever its names."""

    is_folder: bool = False
    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Writes since the last sync: offset and bytes; None: the length became that offset."""
    positions: dict[str, int | None] = field(default_factory=dict)
    """Where the next write of each descriptor goes; None: to the end."""

    def change(self, offset: int, data: bytes | None, *, is_durable: bool = False) -> None:
        applied(self.content, offset, data)
        if is_durable:  # only these bytes: what was written before them may still be lost
            synced = bytearray(self.synced)
            applied(synced, offset, data)
            self.synced = bytes(synced)
        else:
            self.pending.append((offset, data))

    def sync(self) -> None:
        self.synced = bytes(self.content)
        self.pending.clear()


class Disk:
    """Carries out recorded calls.

    Args:
        folder: The folder that was recorded.
        before: What was in it, all of it synced.

    """

    def __init__(self, folder: str, before: Tree) -> None:
        self.folder = folder
        self.names: Names = {}
        for path, content in before.items():
            self.names[path] = Inode(content is None, bytearray(content or b""), content or b"")
        self.synced_names: Names = dict(self.names)
        self.pending_names: list[dict[str, Inode | None]] = []
        """Names since their folder's sync, call by call: what they lead to; None: they were removed."""

    def do(self, op: Op) -> None:
        path = os.path.relpath(op.path, self.folder) if op.path else ""
        inode = self.names.get(path)
        if op.kind == "create":
            if inode is None:
                self._name({path: Inode()})
        elif op.kind == "folder":
            self._name({path: Inode(is_folder=True)})
        elif op.kind in {"rename", "link"}:
            assert inode is not None, op
            changed: dict[str, Inode | None] = {os.path.relpath(op.other, self.folder): inode}
            self._name(changed | ({path: None} if op.kind == "rename" else {}))
        elif op.kind == "remove":
            self._name({path: None})
        elif op.kind == "sync" and (path == "." or (inode is not None and inode.is_folder)):
            self._sync_folder(path)
        elif inode is not None:  # a file whose names are gone is lost with the power
            self._change(op, inode)

    def _change(self, op: Op, inode: Inode) -> None:
        length = len(inode.content)
        if op.kind == "seek":
            inode.positions[op.descriptor] = op.offset
        elif op.kind == "write":
            at = op.offset
            if at is None:
                position = inode.positions.get(op.descriptor)
                at = length if position is None else position
                inode.positions[op.descriptor] = None if position is None else position + len(op.data)
            inode.change(at, op.data, is_durable=op.durable)
        elif op.kind == "truncate":
            inode.change(op.size, None)
        elif op.kind == "extend" and op.size > length:
            inode.change(op.size, None)
        elif op.kind == "punch":
            assert op.offset is not None
            inode.change(op.offset, bytes(max(0, min(op.size, length - op.offset))))
        elif op.kind == "copy":
            source = self.names[os.path.relpath(op.other, self.folder)]
            at = inode.positions.get(op.descriptor) or 0
            data = bytes(source.content if op.size < 0 else source.content[at : at + op.size])
            inode.change(at, data)
            inode.positions[op.descriptor] = at + len(data)
        elif op.kind == "sync":
            inode.sync()

    def _name(self, changed: dict[str, Inode | None]) -> None:
        _named(self.names, changed)
        self.pending_names.append(changed)

    def _sync_folder(self, folder: str) -> None:
        rest = []
        for changed in self.pending_names:
            if folder in {os.path.dirname(path) or "." for path in changed}:
                _named(self.synced_names, changed)
            else:
                rest.append(changed)
        self.pending_names = rest

    def tree(self) -> Tree:
        """Return what programs see."""
        return {path: None if inode.is_folder else bytes(inode.content) for path, inode in self.names.items()}

    def after_cuts(self, chance: random.Random) -> Iterator[Tree]:
        """Yield what may be there after a loss of power now: the extremes, and some of what lies between."""
        first = chance.randint(0, len(self.pending_names))
        seen: list[list[dict[str, Inode | None]]] = []
        for kept_names in (
            [],
            self.pending_names,
            self.pending_names[:first],
            _some_names(self.pending_names, chance),
        ):
            if kept_names in seen:
                continue
            seen.append(kept_names)
            names = dict(self.synced_names)
            for changed in kept_names:
                _named(names, changed)
            for kept in (_nothing, _everything, _torn, _some, _some, _zeros):
                yield {
                    path: None if inode.is_folder else kept(inode, chance)
                    for path, inode in names.items()
                    if all(parent in names for parent in _parents(path))
                }


def _some_names(
    changes: list[dict[str, Inode | None]], chance: random.Random
) -> list[dict[str, Inode | None]]:
    """Return some of the changes of names, without any that needs one that was left out."""
    kept, lost = [], set[str]()
    for changed in changes:
        if chance.random() < 0.5 and not lost.intersection(changed):
            kept.append(changed)
        else:
            lost.update(changed)
    return kept


def _parents(path: str) -> Iterator[str]:
    while path := os.path.dirname(path):
        yield path


def _named(names: Names, changed: dict[str, Inode | None]) -> None:
    for path, inode in changed.items():
        if inode is None:
            names.pop(path, None)
        else:
            names[path] = inode


def applied(content: bytearray, offset: int, data: bytes | None) -> None:
    """Write bytes into a file, or set its length."""
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
    else:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data


def _with(inode: Inode, writes: Sequence[tuple[int, bytes | None]]) -> bytes:
    content = bytearray(inode.synced)
    for offset, data in writes:
        applied(content, offset, data)
    return bytes(content)


# What a cut leaves of one file.


def _nothing(inode: Inode, _: random.Random) -> bytes:
    return inode.synced


def _everything(inode: Inode, _: random.Random) -> bytes:
    return bytes(inode.content)


def _torn(inode: Inode, chance: random.Random) -> bytes:
    """Only the first writes, the last of them up to the end of some sector."""
    if not inode.pending:
        return inode.synced
    last = chance.randrange(len(inode.pending))
    offset, data = inode.pending[last]
    if data is not None:
        end = offset + chance.randint(0, len(data))
        data = data[: max(0, end - end % _SECTOR - offset)]
    return _with(inode, [*inode.pending[:last], (offset, data)])


def _some(inode: Inode, chance: random.Random) -> bytes:
    """Each sector as it was at some instant since the last sync; the lengths up to one instant."""
    count = len(inode.pending) if chance.random() < 0.5 else chance.randint(0, len(inode.pending))
    pieces = [piece for offset, data in inode.pending[:count] for piece in _pieces(offset, data)]
    total = Counter(offset // _SECTOR for offset, data in pieces if data is not None)
    left = {sector: chance.randint(0, number) for sector, number in total.items()}
    writes: list[tuple[int, bytes | None]] = []
    for offset, data in pieces:
        if data is not None:
            left[offset // _SECTOR] -= 1
        if data is None or left[offset // _SECTOR] >= 0:
            writes.append((offset, data))
    return _with(inode, writes)


def _pieces(offset: int, data: bytes | None) -> Iterator[tuple[int, bytes | None]]:
    """Split a write at the borders of sectors."""
    if data is None:
        yield offset, None
        return
    at = 0
    while at < len(data):
        stop = min(len(data), at + _SECTOR - (offset + at) % _SECTOR)
        yield offset + at, data[at:stop]
        at = stop


def _zeros(inode: Inode, _: random.Random) -> bytes:
    """The new length, without the bytes: the size is in the inode, the data are not."""
    return bytes(inode.synced[: len(inode.content)].ljust(len(inode.content), b"\0"))

"""Writes the audit of one server: one line for each connection, each piece of remote code, each refused call.

A line is in the file before what it records is done. Killing the process (kill -9) at any instant costs at most a torn
last line, which the next start cuts off and mentions. Lines are not forced to the disk: the power's failure may cost
the last seconds, and shows as lines that the head file knows and the file does not have.
"""

import errno
import logging
import os
import stat
import sys
import threading
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from devicedb.opening import open_bytes
from rexec.access.chain import (
    FIRST,
    head_of,
    head_text,
    make_line,
    next_rotated,
    read_head,
    read_line,
    rotated,
)
from rexec.ground import forks
from rexec.ground.locks import try_lock

_log = logging.getLogger(__name__)
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
_MODE: Final = 0o600
_CLOSED: Final = -1
"""In place of a descriptor, whose number would soon be another file's."""
_PATIENCE: Final = 5.0
"""Seconds to wait for the previous server process, which may be ending."""


class AuditInUse(OSError):
    """Another process writes this audit."""


class AuditLog:
    """An audit that this process writes.

    Args:
        path: The file, usually NAME.jsonl; its folder exists.
        limit: Bytes after which the file is put away as NAME.000001.jsonl and a new one begins.

    Raises:
        AuditInUse: Another process writes it.
        OSError: It cannot be opened or read.

    """

    def __init__(self, path: Path, limit: int = 16 << 20) -> None:
        self.path = path
        self._limit = limit
        self._lock = threading.Lock()
        self._generation = forks.generation
        self._number, self._hash, self._before = 0, FIRST, FIRST
        self._size = 0
        self._pending: tuple[bytes, str] | None = None
        """The line that is being written, and its hash."""
        self._sources: set[str] = set()
        """Hashes of the source texts in this file."""
        self._lost = 0
        """Records that could not be written since the last one that could."""
        self._found: dict[str, Any] = {}
        """Problems that were found in the files at the start; the first line records them."""
        self._file = self._open()
        self._head = open_bytes(head_of(path), _FLAGS & ~os.O_APPEND, _MODE)
        self._take_up()

    def append(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Add a line.

        Args:
            kind: What it records.
            facts: What else is in it.

        Raises:
            OSError: It could not be written whole; nothing of it is in the file.

        """
        self._locked(kind, facts, None)

    def append_code(self, facts: Mapping[str, Any], source: str) -> None:
        """Add the line of a piece of remote code: its SHA-256, and the source where the file does not have it yet.

        Raises:
            OSError: As `append`.

        """
        self._locked("code", facts, source.encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        """Close the files; the lock ends with that."""
        with self._lock:
            if self._file != _CLOSED:
                os.close(self._file)
            os.close(self._head)

    def _locked(self, kind: str, facts: Mapping[str, Any], source: bytes | None) -> None:
        if self._generation != forks.generation:
            return  # a forked child is not this server
        with self._lock:
            try:
                self._append(kind, facts, source)
            except OSError:
                self._lost += 1
                raise

    def _append(self, kind: str, facts: Mapping[str, Any], source: bytes | None) -> None:
        self._settle()
        if self._size >= self._limit:
            self._rotate()
        code = sha256(source).hexdigest() if source is not None else ""
        if source is not None:
            facts = {**facts, "sha256": code, "bytes": len(source)}
            if code not in self._sources:
                facts["source"] = source.decode()
        if self._lost:
            facts = {**facts, "lost": self._lost}
        if self._size == 0 and self._number and "problem" not in self._found:
            facts = {**facts, "continues": self._number}
        if self._found:
            facts = {**facts, **self._found}
        line, digest = make_line(self._number + 1, self._hash, kind, facts, time.time())
        self._pending = line, digest
        rest = line
        try:
            while rest:  # a full disk accepts a part; the next attempt raises
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._adopt(line, digest)
        self._lost, self._found = 0, {}
        if code:
            self._sources.add(code)

    def _adopt(self, line: bytes, digest: str) -> None:
        self._size += len(line)
        self._number, self._hash, self._pending = self._number + 1, digest, None
        self._write_head()

    def _write_head(self) -> None:
        try:
            os.lseek(self._head, 0, os.SEEK_SET)
            os.write(self._head, head_text(self._number, self._hash))
        except OSError as error:  # rare: overwriting in place takes no room on the disk
            _log.error("%s cannot be written: %s", head_of(self.path), error)

    def _settle(self) -> None:
        """Complete or remove the line of a call that was interrupted (Ctrl-C)."""
        if self._file == _CLOSED:  # a rotation could not open it again
            self._file = self._open()
            self._size = os.fstat(self._file).st_size
            self._sources.clear()
        if not _is_at(self._file, self.path) and self._size < self._limit:  # else a rotation was interrupted
            self._begin_again()
        size = os.fstat(self._file).st_size
        if self._pending is not None:
            line, digest = self._pending
            if size == self._size + len(line):
                self._adopt(line, digest)
                return
            self._pending = None
        if size > self._size:
            os.ftruncate(self._file, self._size)
        if size < self._size:
            self._found["problem"] = f"{self._size - size} bytes were cut off while the server ran"
            self._sources.clear()
            self._size = size

    def _begin_again(self) -> None:
        """Go on in a new file where somebody has removed the old one, or put another in its place.

        Raises:
            OSError: It cannot be opened.

        """
        found = self._open()
        os.close(self._file)
        self._file, self._pending = found, None
        self._size = os.fstat(found).st_size
        self._sources.clear()
        self._found["problem"] = f"the file with line {self._number} was removed while the server ran"
        _log.error("%s was removed or replaced: the audit goes on in a new one", self.path)

    def _rotate(self) -> None:
        old, is_closed = self._file, sys.platform == "win32"
        if is_closed:  # Windows cannot rename an open file
            self._file = _CLOSED
            os.close(old)
        try:
            if self.path.exists():  # it is missing if Ctrl-C interrupted the rotation
                os.rename(self.path, next_rotated(self.path))
        except PermissionError:
            if not is_closed:
                raise
            self._file = self._open()  # another program has it open: the next line tries again
            return
        self._file = self._open()
        if not is_closed:
            os.close(old)
        self._size = 0
        self._sources.clear()

    def _open(self) -> int:
        """Open and lock the file that has the name now.

        Raises:
            AuditInUse: Another process has it.

        """
        until = time.monotonic() + _PATIENCE
        while True:
            found = open_bytes(self.path, _FLAGS, _MODE)
            if not stat.S_ISREG(os.fstat(found).st_mode):  # a pipe has no end that could be read
                os.close(found)
                raise OSError(errno.EINVAL, "no regular file", str(self.path))
            # The process before this one may have put the file away between opening and locking.
            if try_lock(found) and _is_at(found, self.path):
                return found
            os.close(found)
            if time.monotonic() > until:
                raise AuditInUse(
                    f"{self.path} is written by another process: give each server a file of its own"
                )
            time.sleep(0.05)

    def _take_up(self) -> None:
        """Continue the chain where the files end, and note what is wrong with them."""
        text = self.path.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            os.ftruncate(self._file, whole)
            self._found["cut"] = len(text) - whole
        self._size = whole
        lines = text[:whole].splitlines(keepends=True)
        if not lines and (before := rotated(self.path)):
            lines = before[-1].read_bytes().splitlines(keepends=True)[-1:]
        try:
            if lines:
                last = read_line(lines[-1])
                self._number, self._hash, self._before = last["n"], last["hash"], last["prev"]
        except ValueError as error:
            self._found["problem"] = f"the last line was wrong: {error}"
        self._compare_with_head()
        for line in lines if whole else ():
            if b'"source":"' in line and (fields := _fields(line)) is not None:
                self._sources.add(str(fields.get("sha256")))

    def _compare_with_head(self) -> None:
        try:
            head = read_head(self.path) if os.fstat(self._head).st_size else None
        except ValueError as error:
            head, self._found["problem"] = None, f"the head file was wrong: {error}"
        if head is None:
            if self._number and "problem" not in self._found:
                self._found["problem"] = "the head file was missing"
        elif head[0] > self._number:
            self._found["problem"] = f"lines {self._number + 1} to {head[0]} were missing"
            # The numbers go on, so that the gap stays visible.
            self._number, self._hash = head
        elif head not in ((self._number, self._hash), (self._number - 1, self._before)):
            self._found["problem"] = f"the head file was of another line {head[0]}"


def _fields(line: bytes) -> dict[str, Any] | None:
    try:
        return read_line(line)
    except ValueError:
        return None


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False

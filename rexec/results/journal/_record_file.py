"""The file of a journal in its run: it grows by whole records only, and is written anew where it was removed."""

import errno
import os
import secrets
import threading
from pathlib import Path
from typing import Final, NoReturn

from devicedb.whole_file import sync_descriptor, sync_folder_of
from rexec.ground.system_calls import MOST_AT_ONCE
from rexec.results._files import remove
from rexec.results.errors import ResultsError, ResultsNotWritable
from rexec.results.journal._encode import Buffer
from rexec.results.journal._file import copied, created, is_at
from rexec.results.journal.records import Kind, frame, frame_end, frame_head, header

_WRITEV: Final = hasattr(os, "writev")
_MAX_PARTS: Final = 512
_LARGE: Final = 4 * 2**20
"""Bytes from which on a second thread for the checksum is worth its start."""

_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


class RecordFile:
    """A new journal, open and claimed. One thread at a time calls it.

    What raises has written nothing: what a signal has interrupted between two steps is cut off by the next call.

    Args:
        path: The file; it must not exist.

    Attributes:
        path: The file; another one after `heal` has found a file of another run there.
        identifier: Of the journal, 16 bytes.
        descriptor: The open file; -1: it is closed.
        size: Bytes of whole records.
        failure: Why nothing more can be written; None: it can be.
        lost: Why no result file can be made of what was written, here and now.

    Raises:
        ResultsNotWritable: The file cannot be made; the text says why and what to do.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.identifier: Final = secrets.token_bytes(16)
        self.size = 0
        self.failure: str | None = None
        self.lost: str | None = None
        self._is_writing = False
        """Whether the file may be longer than `size`: a write is under way, or was interrupted."""
        self.descriptor = created(path)
        try:
            self._write([header(self.identifier)])
            sync_descriptor(self.descriptor)
            sync_folder_of(path)
        except (OSError, ResultsError) as error:
            os.close(self.descriptor)
            path.unlink(missing_ok=True)
            raise ResultsNotWritable(f"cannot write results beside {path}: {error}") from error

    @property
    def is_whole(self) -> bool:
        """Whether the file of that name holds everything that was written."""
        return self.failure is None and self._is_in_place() and self._length() >= self.size

    def write(self, kind: Kind, parts: list[Buffer]) -> None:
        """Write the record with this body.

        Raises:
            ResultsError: It cannot be written.

        """
        if sum(map(len, parts)) < _LARGE:
            self._write(frame(kind, parts))
        else:
            self._write_large(kind, parts)

    def write_small(self, data: bytes) -> None:
        """Write a whole record that has been made already; raises as `write`."""
        if self.failure is not None:
            raise ResultsError(self.failure)
        if self._is_writing:
            self.settle()
        self._is_writing = True
        try:
            written = os.write(self.descriptor, data)
        except OSError as error:
            self._take_back(error)
        if written != len(data):
            self._finish([data], written)
        self.size += len(data)
        self._is_writing = False

    def settle(self) -> None:
        """Cut off what an interrupted call has written."""
        if self._is_writing and self.descriptor >= 0:
            os.ftruncate(self.descriptor, self.size)
            self._is_writing = False

    def heal(self) -> str:
        """Write the file anew, from what this process has open, where somebody has removed or replaced it.

        Returns:
            What happened, "" for nothing. `failure` says that what was written is lost.

        Raises:
            ResultsError: It cannot be written there.

        """
        if self.descriptor < 0 or self.failure is not None:
            return ""
        self.settle()
        if self._length() < self.size:
            self.failure = self.lost = f"{self.path} was cut by another program: what was in it is lost"
            return ""
        if self._is_in_place():
            return ""
        path, descriptor = copied(self.descriptor, self.size, self.path, self.identifier)
        os.close(self.descriptor)
        self.descriptor = descriptor
        if path == self.path:
            return f"{path} was removed or replaced while the run went on; it is written anew"
        self.failure = self.lost = (
            f"{self.path} was replaced by a file that is not of this run; what the run had kept by then is in {path}"
        )
        self.path = path
        return ""

    def disown(self) -> None:
        """Refuse every write from now on, and let the claim go: this process is a fork of the run's."""
        self.failure = self.lost = (
            f"the results of this run ({self.path.name}) belong to process {os.getppid()}, from which this one was "
            "forked: give values back to it, for example by multiprocessing's queues or return values"
        )
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def close(self) -> None:
        """Put everything on the disk, close the file, and give up the claim on it.

        Raises:
            OSError: The disk reports a failure; the file is closed all the same.

        """
        descriptor = self._given_up()
        try:
            sync_descriptor(descriptor)
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove the file, and give up the claim on it.

        Raises:
            OSError: It cannot be removed.

        """
        descriptor = self._given_up()
        # Unlinked while it is claimed, so that no recovery meets it. Windows removes no open file.
        try:
            if os.name != "nt":
                self.path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        if os.name == "nt":
            remove(self.path)

    def _given_up(self) -> int:
        self.settle()
        descriptor, self.descriptor = self.descriptor, -1
        return descriptor

    def _is_in_place(self) -> bool:
        return is_at(self.descriptor, self.path)

    def _length(self) -> int:
        return os.fstat(self.descriptor).st_size

    def _write(self, parts: list[Buffer]) -> None:
        if self.failure is not None:
            raise ResultsError(self.failure)
        self.settle()
        self._is_writing = True
        self.size += self._hand_over(parts)
        self._is_writing = False

    def _write_large(self, kind: Kind, parts: list[Buffer]) -> None:
        """Write a record while its checksum is computed beside it, which takes as long."""
        if self.failure is not None:
            raise ResultsError(self.failure)
        self.settle()
        head = frame_head(kind, parts)
        ends: list[bytes] = []
        thread = threading.Thread(
            target=lambda: ends.append(frame_end(head, parts)), name="rexec-journal-crc"
        )
        self._is_writing = True
        thread.start()
        try:
            written = self._hand_over([head, *parts])
        finally:
            thread.join()
        # The record is complete only with its CRC; if that does not fit, the whole record is truncated away.
        self.size += written + self._hand_over([ends[0]])
        self._is_writing = False

    def _hand_over(self, parts: list[Buffer]) -> int:
        """Write all bytes of some parts, and return how many; what cannot be written whole is cut off."""
        total = sum(map(len, parts))
        if total < 65536 or not _WRITEV or len(parts) > _MAX_PARTS:
            parts = [b"".join(parts)]
        try:
            if _WRITEV and total <= MOST_AT_ONCE:
                written = os.writev(self.descriptor, parts)  # type: ignore[attr-defined, unused-ignore]
            else:
                written = os.write(self.descriptor, parts[0])
        except OSError as error:
            self._take_back(error)
        if written != total:
            self._finish(parts, written)
        return total

    def _finish(self, parts: list[Buffer], written: int) -> None:
        """Write what a partial write left over."""
        try:
            for part in parts:
                view = memoryview(part)
                skipped = min(written, len(view))
                written -= skipped
                view = view[skipped:]
                while len(view):
                    view = view[os.write(self.descriptor, view) :]
        except OSError as error:
            self._take_back(error)

    def _take_back(self, error: OSError) -> NoReturn:
        """Cut off a record that was not written whole, and say so."""
        if self.descriptor < 0:
            raise ResultsError(
                f"{self.path} is closed: the run has ended, this change came too late"
            ) from error
        try:
            self.settle()
        except OSError as second:
            self.failure = f"cannot write {self.path}: {error.strerror}, nor cut it back: {second.strerror}"
        hint = "; free space on it, the run's data so far are safe" if error.errno in _FULL else ""
        raise ResultsError(f"cannot keep a change in {self.path}: {error.strerror}{hint}") from error

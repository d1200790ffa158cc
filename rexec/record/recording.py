"""Recordings of sessions with real controllers: the file, and the answers in it.

The file (docs/reference/recording.md) is a first line and records, appended one by one, each with its length and a
checksum. After a kill at any moment it is good up to its last whole record.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devicedb.drivers.methods import DriverFacts
from devicedb.opening import open_bytes
from devicedb.whole_file import sync_descriptor, sync_folder_of, write_whole
from rexec._version import __version__
from rexec.record.errors import RecordingError
from rexec.record.method_list import facts_of_list
from rexec.record.records import MAGIC, framed, read_records
from rexec.record.remote_calls import remote_calls
from rexec.results.errors import hint
from rexec.wire import pyon
from rexec.wire.packed_exceptions import exception_from

logger = logging.getLogger(__name__)


class RecordingWriter:
    """Appends records to a new recording. Not thread-safe.

    Args:
        path: The file.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        RecordingError: It exists, or cannot be written.

    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self.records = 0
        self.began = time.monotonic()
        head = {"kind": "recording", "version": 1, "began": time.time(), "by": f"artiq-rexec {__version__}"}
        begin = MAGIC + framed(head)
        flags = os.O_WRONLY | os.O_APPEND
        try:
            if overwrite:
                write_whole(path, begin)  # an earlier recording stays until this one is on the disk
            self._descriptor = open_bytes(path, flags | (0 if overwrite else os.O_CREAT | os.O_EXCL), 0o664)
        except FileExistsError:
            raise RecordingError(f"{path} exists: give another name, or --overwrite") from None
        except OSError as error:
            remedy = hint(error) if overwrite else ""
            raise RecordingError(f"cannot record into {path}: {error.strerror or error}{remedy}") from error
        if not overwrite:
            self._put(begin)

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record. It survives a kill of this process.

        Raises:
            RecordingError: The file cannot be written.
            TypeError: It holds a value that cannot travel.

        """
        self._put(framed(dict(record)))
        self.records += 1

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise RecordingError(f"cannot record into {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Sync the file and its name, and close it."""
        try:
            sync_descriptor(self._descriptor)
            sync_folder_of(self.path)
        finally:
            os.close(self._descriptor)


@dataclass
class Recording:
    """The content of a recording. Made by `load_recording`.

    Attributes:
        path: The file.
        targets: Facts of the targets of each controller.
        calls: The calls of each target of each controller, in the order of their answers.
        timing: Whether answers take as long as they took.

    """

    path: Path
    targets: dict[str, dict[str, DriverFacts]] = field(default_factory=dict)
    calls: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    timing: bool = False

    def facts(self, controllers: Iterable[str]) -> dict[str, DriverFacts]:
        """Return the targets that were there on some controllers of one server."""
        return {
            name: each
            for controller in controllers
            for name, each in self.targets.get(controller, {}).items()
        }

    def remote_replays(self, controllers: Iterable[str]) -> dict[str, "Replayer"]:
        """Return new players of the recorded calls of remote functions, by target; an answer is a `RemoteCall`.

        Each is found by the name of its function, its source, and its arguments.
        """
        found = {}
        for controller in controllers:
            for target in self.targets.get(controller, {}):
                calls = [
                    {
                        "name": remote_name(call.function, call.source),
                        "args": call.args,
                        "kwargs": call.kwargs,
                        "ret": call,
                    }
                    for call in remote_calls(self.calls.get((controller, target), ()))
                ]
                if calls:
                    found[target] = Replayer(DriverFacts(), calls)
        return found

    def replays(self, controllers: Iterable[str]) -> dict[str, "Replayer"]:
        """Return new players of the recorded answers, by target, of some controllers of one server."""
        return {
            target: Replayer(facts, self.calls.get((controller, target), ()), timing=self.timing)
            for controller in controllers
            for target, facts in self.targets.get(controller, {}).items()
        }


def load_recording(path: Path, *, timing: bool = False) -> Recording:
    """Load a file made by `rexec record`.

    Args:
        path: The file.
        timing: Whether answers are to take as long as they took.

    Raises:
        RecordingError: It cannot be read, or is no recording.

    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"recording {path}: {error.strerror or error}") from None
    found = Recording(path, timing=timing)
    for record in read_records(data, str(path)):
        try:
            _take(found, record)
        except (KeyError, TypeError, AttributeError) as error:
            raise RecordingError(f"{path}: a record of kind {record.get('kind')!r} lacks {error}") from None
    if not found.targets:
        raise RecordingError(f"{path} has no controller: the recording ended before one answered")
    return found


def load_recordings(paths: Sequence[Path], *, timing: bool = False) -> list[Recording]:
    """Load several files; see `load_recording`."""
    return [load_recording(path, timing=timing) for path in paths]


def _take(found: Recording, record: dict[str, Any]) -> None:
    kind = record["kind"]
    if kind == "target":
        facts = facts_of_list(record["list"], frozenset(record["methods"]), found.path.name)
        found.targets.setdefault(record["controller"], {})[record["target"]] = facts
    elif kind == "call":
        found.calls.setdefault((record["controller"], record["target"]), []).append(record)


class Replayer:
    """Gives recorded answers. A repeated call gets the next answer, then the last one again. Thread-safe.

    Args:
        facts: Methods of the target when it was recorded.
        calls: Records of calls, in order.
        timing: Whether answers take as long as they took.

    """

    def __init__(
        self, facts: DriverFacts, calls: Iterable[Mapping[str, Any]], *, timing: bool = False
    ) -> None:
        self._methods = facts.methods
        self._timing = timing
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        self._next: dict[tuple[str, str], int] = {}
        self._texts: list[str] = []
        for call in calls:
            key = self._key(call["name"], call["args"], call["kwargs"])
            if key is not None:
                self._texts.append(call_text(call["name"].partition("\n")[0], call["args"], call["kwargs"]))
                self._answers.setdefault(key, []).append(call)
        self._answered = {name for name, _ in self._answers}

    def has(self, method: str) -> bool:
        """Whether there is any answer of a method."""
        return method in self._answered

    def answer(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[bool, Any]:
        """Return whether a call was recorded, and what it returned.

        Args:
            method: Name.
            args: Positional arguments. It does not matter which are given so and which by keyword.
            kwargs: Keyword arguments.

        Raises:
            Exception: What the call raised when it was recorded.

        """
        key = self._key(method, args, kwargs)
        with self._lock:
            answers = self._answers.get(key) if key is not None else None
            if key is None or answers is None:
                return False, None
            index = self._next.get(key, 0)
            self._next[key] = min(index + 1, len(answers) - 1)
            record = answers[index]
        if self._timing:
            time.sleep(max(float(record["seconds"]), 0.0))
        if "exception" in record:
            raise exception_from(record["exception"], "the recorded controller")
        return True, record["ret"]

    def recorded(self) -> list[str]:
        """Return the recorded calls as text, each once."""
        return list(dict.fromkeys(self._texts))

    def _key(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the identity of a call; None if an argument cannot be encoded: no such call was recorded."""
        known = self._methods.get(method)
        given: dict[str, Any] = {"args": tuple(args), "kwargs": dict(kwargs)}
        if known is not None:
            with contextlib.suppress(
                TypeError
            ):  # it was called as the signature does not say: as it is, then
                bound = known.signature.bind(*args, **kwargs)
                bound.apply_defaults()
                given = dict(bound.arguments)
        try:
            return method, pyon.encode([[name, _plain(value)] for name, value in sorted(given.items())])
        except (TypeError, ValueError):
            return None


def remote_name(function: str, source: str) -> str:
    """Return the name under which the calls of a remote function are found: one that was changed is another one."""
    return f"{function}\n{source}"


def call_text(name: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    """Return a call for a message, its arguments cut to 40 characters each."""
    shown = [f"{each!r:.40}" for each in args] + [f"{key}={value!r:.40}" for key, value in kwargs.items()]
    return f"{name}({', '.join(shown)})"


def _plain(value: Any) -> Any:
    """Sort the keys of dicts, because the order of keyword arguments has no meaning."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(value[key]) for key in sorted(value)}
    return value

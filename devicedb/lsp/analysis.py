"""The check of one database whose file is edited: at once without running it, after a pause by running it."""

import io
import logging
import os
import tempfile
import threading
import tokenize
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from devicedb.check.config import Settings, find
from devicedb.check.engine import Examined, Subject, examine, visible
from devicedb.check.finding import Finding
from devicedb.errors import DeviceDBError
from devicedb.lsp.buffer import BufferText, line_now
from devicedb.lsp.known import Known, View, is_certain
from devicedb.sandbox.run import Stop, Stopped

NOT_RUN_RULE: Final = "DDB011"
"""Says which values a run would tell; of no use while one follows."""
_log: Final = logging.getLogger(__name__)

FIRST_SECONDS: Final = 5.0
"""How long a request waits for the first check of a database."""


@dataclass(frozen=True)
class Outcome:
    """What a check of a text has found."""

    buffer: BufferText
    findings: tuple[Finding, ...] = ()
    problem: str = ""
    """Why the check could not be made."""


class Analysis:
    """Checks a database again and again in a thread of its own. A new text ends the check of the text before.

    Args:
        path: The file. Imports are searched in its folder, settings in the pyproject.toml at or above it.
        pause: Seconds without a new text before the file is run.
        is_static: Never run it.
        deliver: Called in the thread with each outcome, only while its text is the newest.

    """

    def __init__(
        self, path: Path, *, pause: float, is_static: bool, deliver: Callable[[Outcome], None]
    ) -> None:
        self.path = path
        self.pause = pause
        self.is_static = is_static
        self.deliver = deliver
        self._changed = threading.Condition()
        self._buffer = BufferText("")
        self._wanted = 0
        self._done = 0
        self._stop = Stop()
        self._is_closed = False
        self._static: View | None = None
        self._ran: View | None = None
        self._findings_of_run: tuple[BufferText, tuple[Finding, ...]] = (self._buffer, ())
        self._thread = threading.Thread(target=self._work, name=f"check of {path.name}", daemon=True)
        self._thread.start()

    def update(self, buffer: BufferText) -> None:
        """Check this text from now on; the same text is checked again."""
        with self._changed:
            self._buffer = buffer
            self._wanted += 1
            self._stop.set()
            self._changed.notify_all()

    def again(self) -> None:
        """Check the text again, because another file has changed."""
        with self._changed:
            self.update(self._buffer)

    def stop(self) -> None:
        """End the check that runs, and make no further one; does not wait."""
        self._is_closed = True
        self._stop.set()

    def close(self) -> None:
        """End the check that runs, its child process too, and make no further one."""
        with self._changed:
            self.stop()
            self._changed.notify_all()
        self._thread.join()

    def known(self) -> Known:
        """Return what is known now; waits for the first check, but not for long."""
        with self._changed:
            self._changed.wait_for(lambda: self._done > 0 or self._is_closed, FIRST_SECONDS)
            return Known(str(self.path), self._buffer, self._static, self._ran)

    def _work(self) -> None:
        while (task := self._next()) is not None:
            wanted, buffer, stop = task
            try:
                self._check(wanted, buffer, stop)
            except Stopped:
                continue
            except Exception as error:  # a fault of this program must not end the checks of the file
                _log.exception("the check of %s failed", self.path)
                self._finish(wanted, Outcome(buffer, problem=f"the check failed: {error!r}"))

    def _next(self) -> tuple[int, BufferText, Stop] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted > self._done or self._is_closed)
            self._stop = Stop()
            return None if self._is_closed else (self._wanted, self._buffer, self._stop)

    def _check(self, wanted: int, buffer: BufferText, stop: Stop) -> None:
        try:
            settings = find(self.path.parent)
            is_static = self.is_static or settings.static
            read = replace(settings, static=True, construct="no")
            if not is_static:
                read = replace(read, ignore=(*settings.ignore, NOT_RUN_RULE), experiments=())
            examined = self._examined(buffer, read, stop)
        except DeviceDBError as error:
            self._finish(wanted, Outcome(buffer, problem=str(error)))
            return
        view = _view(buffer, examined)
        findings = visible(examined.report, settings).findings
        if not is_static:
            findings += self._carried(view, buffer)
        if not self._finish(wanted, Outcome(buffer, findings), static=view) or is_static:
            return
        if examined.facts.error is not None:  # a syntax error: running it would say the same
            return
        with self._changed:
            if self._changed.wait_for(lambda: self._wanted != wanted or self._is_closed, self.pause):
                return
        self._run(wanted, buffer, settings, stop)

    def _run(self, wanted: int, buffer: BufferText, settings: Settings, stop: Stop) -> None:
        try:
            examined = self._examined(buffer, settings, stop)
        except DeviceDBError as error:
            self._finish(wanted, Outcome(buffer, problem=str(error)))
            return
        findings = visible(examined.report, settings).findings
        self._findings_of_run = (buffer, findings)
        self._finish(wanted, Outcome(buffer, findings), ran=_view(buffer, examined))

    def _examined(self, buffer: BufferText, settings: Settings, stop: Stop) -> Examined:
        with tempfile.TemporaryDirectory(prefix="devicedb-", ignore_cleanup_errors=True) as folder:
            source = Path(folder, self.path.name or "device_db.py")  # a share has none
            source.write_bytes(encoded(buffer.text))
            return examine(Subject(self.path, str(self.path), source), settings, stop)

    def _finish(
        self, wanted: int, outcome: Outcome, static: View | None = None, ran: View | None = None
    ) -> bool:
        """Keep and deliver an outcome; return False if there is a newer text."""
        with self._changed:
            if self._wanted != wanted or self._is_closed:
                return False
            self._static = static or self._static
            self._ran = ran or self._ran
            self._done = wanted
            self._changed.notify_all()
            self.deliver(outcome)
            return True

    def _carried(self, view: View | None, buffer: BufferText) -> tuple[Finding, ...]:
        """What the last run found that reading the text cannot find. It stays until the next run."""
        before, findings = self._findings_of_run
        others = tuple(each for each in findings if os.path.abspath(each.file) != str(self.path))
        if view is None or view.is_whole:
            return others
        entries = view.database.entries
        return others + tuple(
            _moved(each, before, buffer)
            for each in findings
            if each not in others and not (each.entry in entries and is_certain(entries[each.entry].node))
        )


def _view(buffer: BufferText, examined: Examined) -> View | None:
    return None if examined.database is None else View(buffer, examined.facts, examined.database)


def _moved(finding: Finding, before: BufferText, now: BufferText) -> Finding:
    line = line_now(before, finding.line - 1, now) + 1
    return replace(finding, line=line, end_line=finding.end_line + line - finding.line, fix=None)


def encoded(text: str) -> bytes:
    """Return a text as its file would have it: in the encoding that it declares, else in UTF-8."""
    data = text.encode("utf-8", "surrogatepass")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return text.encode(encoding)
    except (SyntaxError, LookupError, ValueError):
        return data  # the check says what is wrong

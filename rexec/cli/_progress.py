"""How a run goes on, in one line: the last line of a terminal, elsewhere a line now and then."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from devicedb.cli.console import TerminalConsole
from devicedb.printable import printable

_EVERY: Final = 30.0
"""Seconds between two lines where there is no terminal."""
_LOOK: Final = 1.0
"""Seconds between two looks at what a run does: the age of a pending call counts from the first that saw it."""
_SHORTEST: Final = 8
"""Columns of a title that still says something."""


@dataclass(frozen=True)
class RunActivity:
    """What a run has done and does.

    Attributes:
        datasets: How many datasets it has set.
        texts: What it waits for, and what its remote functions do.

    """

    datasets: int
    texts: list[str]


class Progress:
    """Shows number, title, phase, time, datasets and activity of a run.

    Args:
        console: Console of standard error.
        run: The run, as "run 42".
        title: Title of the experiment.
        activity: Returns what it does.
        enabled: False shows nothing.
        every: Seconds between two lines where there is no terminal.

    """

    def __init__(
        self,
        console: TerminalConsole,
        run: str,
        title: str,
        activity: Callable[[], RunActivity],
        enabled: bool,
        every: float = _EVERY,
    ) -> None:
        self._console = console
        self._run = run
        self._title = printable(title)
        self._activity = activity
        self._phase = "build"
        self._began = time.monotonic()
        self._spinner = Spinner("dots")
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._lines: threading.Thread | None = None
        self._ended = threading.Event()
        self._every = every
        if not enabled:
            return
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(
                console=console, get_renderable=self._render, refresh_per_second=8, transient=True
            )
        else:
            self._lines = threading.Thread(target=self._print_lines, name="rexec progress", daemon=True)

    def phase(self, name: str) -> None:
        self._phase = name

    def ask(self, prompt: str) -> str:
        """Hide the progress line and ask the person at the terminal; EOFError if there is no answer."""
        with self._lock:
            if self._live is not None:
                self._live.stop()
            try:
                return input(printable(prompt))
            finally:
                if self._live is not None:
                    self._live.start()

    def line(self, width: int) -> Text:
        """Return the status as text of at most `width` columns; what matters least is left out first."""
        activity = self._activity()
        number = activity.datasets
        texts = [printable(each) for each in activity.texts]
        now = [self._phase, f"{time.monotonic() - self._began:.0f} s"]
        datasets = [f"{number} dataset{'' if number == 1 else 's'}"]
        rest = Text(" · ".join([*now, *datasets, *texts]))
        room = width - len(self._run) - rest.cell_len - 6
        if room >= min(_SHORTEST, len(self._title)):
            title = Text(self._title)
            title.truncate(room, overflow="ellipsis")
            return Text(f"{self._run} · {title.plain} · {rest.plain}")
        shorter = [rest.plain, " · ".join([*now, *texts]), " · ".join(texts or now)]
        found = next(
            (each for text in shorter if (each := Text(f"{self._run} · {text}")).cell_len <= width), Text()
        )
        found = found or Text(f"{self._run} · {shorter[-1]}")
        found.truncate(width, overflow="ellipsis")
        return found

    def _render(self) -> Text:
        width = self._console.width
        frame = self._spinner.render(time.monotonic())
        spinner = frame if isinstance(frame, Text) else Text("")
        return Text.assemble(spinner, " ", self.line(width - 3), no_wrap=True, overflow="ellipsis")

    def _print_lines(self) -> None:
        due = time.monotonic() + self._every
        while not self._ended.wait(min(_LOOK, self._every)):
            line = self.line(10_000)
            if time.monotonic() >= due:
                self._console.say(f"rexec run: {line.plain}")
                due += self._every

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        if self._lines is not None:
            self._lines.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._live is not None:
            self._live.stop()
        if self._lines is not None:
            self._lines.join(1.0)

"""The line that says what a run is doing, while it does: on a terminal only."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text


class Progress:
    """Shows title, phase, time and number of datasets on the last line of a terminal; elsewhere nothing.

    Args:
        console: Of standard error.
        title: Of the experiment.
        count: Returns how many datasets there are.
        enabled: False shows nothing on a terminal either.

    """

    def __init__(self, console: Console, title: str, count: Callable[[], int], enabled: bool) -> None:
        self._title = title
        self._count = count
        self._phase = "build"
        self._began = time.monotonic()
        self._spinner = Spinner("dots")
        self._lock = threading.Lock()
        self._live: Live | None = None
        if enabled and console.is_terminal:
            self._live = Live(
                console=console, get_renderable=self._render, refresh_per_second=8, transient=True
            )

    def phase(self, name: str) -> None:
        """Show another phase."""
        self._phase = name

    def ask(self, prompt: str) -> str:
        """Ask the person at the terminal, with the line out of the way meanwhile; EOFError for no answer."""
        with self._lock:
            if self._live is not None:
                self._live.stop()
            try:
                return input(prompt)
            finally:
                if self._live is not None:
                    self._live.start()

    def _render(self) -> Spinner:
        number = self._count()
        datasets = f"{number} dataset{'' if number == 1 else 's'}"
        seconds = time.monotonic() - self._began
        self._spinner.update(text=Text(f"{self._title} · {self._phase} · {seconds:.0f} s · {datasets}"))
        return self._spinner

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

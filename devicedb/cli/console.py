"""A rich console that shows the text of strangers and obeys none of it."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from devicedb.printable import LINES, inset, printable

__all__ = ["TerminalConsole"]


class TerminalConsole(Console):
    """A console whose text cannot control the terminal; colours and cursor movements of rich itself still do."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does, with control characters in texts escaped."""
        for segment in super().render(renderable, options):
            if segment.control is not None or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text, keep=LINES), segment.style)

    def say(self, text: str) -> None:
        """Print a message as it is: without markup, colours or wrapping, all but its first line indented."""
        self._say(inset(text))

    def say_lines(self, text: str) -> None:
        """Print text of several lines as it is. Its line breaks are obeyed: a stranger's part of it must have none."""
        self._say(printable(text, keep=LINES))

    def _say(self, text: str) -> None:
        self.print(text, markup=False, highlight=False, soft_wrap=True, emoji=False)

"""Draws commands and what they printed, as a terminal shows them, into an SVG file that needs nothing but itself."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

FONTS = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"

MOST = 100
"""Columns; longer lines are wrapped, as a terminal does."""

FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: FONTS; font-size: {char_height}px; line-height: {line_height}px;
font-variant-east-asian: full-width; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw(commands: Sequence[tuple[str, str]], name: str, target: Path) -> None:
    """Draw a transcript.

    Args:
        commands: Each command and what it printed, with the colours of a terminal or without.
        name: In the identifiers of the SVG, so that several can stand on one page.
        target: The file.

    """
    lines = [
        line for command, output in commands for line in (f"$ {command}", *output.rstrip("\n").split("\n"))
    ]
    texts = [Text.from_ansi(line.rstrip()) for line in lines]
    for text in texts:
        if text.plain.startswith("$ "):
            text.stylize("bold")
    width = min(MOST, max(text.cell_len for text in texts)) + 1
    console = Console(
        record=True, width=width, file=StringIO(), color_system="truecolor", force_terminal=True
    )
    for text in texts:
        console.print(text, highlight=False, overflow="fold")
    svg = console.export_svg(
        title="", code_format=FORMAT.replace("FONTS", FONTS), unique_id=name.replace(" ", "-")
    )
    target.write_text(svg, encoding="utf-8")

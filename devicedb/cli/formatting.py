"""How `--help` is set: paragraphs as wide as the terminal, examples as they are written."""

import argparse
import itertools


class TextAndExamples(argparse.HelpFormatter):
    """Wraps descriptions and epilogs to the terminal, but for indented lines, which are examples, and empty ones."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        filled = []
        for is_text, lines in itertools.groupby(text.splitlines(), lambda line: line[:1] not in {"", " "}):
            if is_text:
                filled.append(super()._fill_text(" ".join(lines), width, indent))
            else:
                filled += [f"{indent}{line}".rstrip() for line in lines]
        return "\n".join(filled)

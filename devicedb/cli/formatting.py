"""Layout of `--help`: paragraphs are wrapped, examples stay as they are."""

import argparse
import itertools


class TextAndExamples(argparse.HelpFormatter):
    """Wraps descriptions and epilogs, except indented lines (examples) and empty lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        filled = []
        for is_text, lines in itertools.groupby(text.splitlines(), lambda line: line[:1] not in {"", " "}):
            if is_text:
                filled.append(super()._fill_text(" ".join(lines), width, indent))
            else:
                filled += [f"{indent}{line}".rstrip() for line in lines]
        return "\n".join(filled)

"""Sphinx configuration: MyST pages by purpose (tutorial, how-to, explanation, reference)."""

import itertools
from typing import Any

import sphinxarg.ext

from rexec import __version__

project = "artiq-rexec"
author = "the artiq-rexec authors"
copyright = "2026, the artiq-rexec authors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxarg.ext",  # the command line reference, from the parsers themselves
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"artiq-rexec {__version__}"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
default_role = "literal"  # docstrings write names in single backticks
suppress_warnings = ["myst.domains"]  # of sphinx-argparse, which has no references to resolve


def literal_examples(text: str) -> str:
    """Return the epilog of a parser with its indented lines, which are examples, as literal blocks."""
    parts = []
    for is_example, lines in itertools.groupby(text.splitlines(), lambda line: line.startswith(" ")):
        joined = "\n".join(f"  {line}" if is_example else line for line in lines)
        parts.append(f"::\n\n{joined}" if is_example else joined)
    return "\n\n".join(parts)


_parse_parser = sphinxarg.ext.parse_parser


def parse_parser(*arguments: Any, **keywords: Any) -> dict[str, Any]:
    """Do what sphinx-argparse does, and keep the line ends of examples."""
    found: dict[str, Any] = _parse_parser(*arguments, **keywords)
    waiting = [found]
    while waiting:
        each = waiting.pop()
        if each.get("epilog"):
            each["epilog"] = literal_examples(each["epilog"])
        waiting += each.get("children", ())
    return found


sphinxarg.ext.parse_parser = parse_parser

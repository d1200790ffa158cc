"""Sphinx configuration: MyST pages by purpose (tutorial, how-to, explanation, reference)."""

import itertools
import re
import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import sphinxarg.ext
from docutils import nodes
from pydantic import BaseModel, RootModel
from sphinx.application import Sphinx
from sphinx.ext.napoleon.docstring import GoogleDocstring

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
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = f"artiq-rexec {__version__}"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
default_role = "literal"  # docstrings write names in single backticks
smartquotes = False  # they make one dash of the two of `--up` in a help text
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


def whole_docstring(docstring: Any) -> tuple[str, list[str]]:
    """Return the docstring of an attribute as prose; napoleon takes what stands before a colon for its type."""
    return "", docstring._dedent(docstring._consume_to_end())  # noqa: SLF001


GoogleDocstring._consume_inline_attribute = whole_docstring  # noqa: SLF001


def annotation_text(annotation: Any) -> str:
    """Return a type as it is read, without what pydantic checks beside it."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return annotation_text(parts[0])
    if origin in (Union, UnionType):
        return " | ".join(map(annotation_text, parts))
    if origin is Literal:
        return " | ".join(map(repr, parts))
    if parts:
        return f"{annotation_text(origin)}[{', '.join(map(annotation_text, parts))}]"
    return "None" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def is_model(thing: Any) -> bool:
    """Return whether it is a model with fields."""
    return isinstance(thing, type) and issubclass(thing, BaseModel) and not issubclass(thing, RootModel)


def is_made_elsewhere(thing: Any) -> bool:
    """Return whether it is a class whose objects come from a function: what makes them is no reader's business."""
    return isinstance(thing, type) and re.search(r"\bMade by `", thing.__doc__ or "") is not None


def leave_out_making(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Leave out the parameters of classes whose objects users get and do not construct."""
    if is_made_elsewhere(thing):
        lines[:] = [line for line in lines if not line.startswith((":param ", ":type ", "              "))]


def describe_fields(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Write the fields of a model below its docstring, from what they say of themselves."""
    if not is_model(thing):
        return
    lines.append("")
    for key, field in thing.model_fields.items():
        default = (
            "" if field.is_required() else f" Default: `{field.get_default(call_default_factory=True)!r}`."
        )
        lines.append(f":param {field.alias or key}: {field.description or ''}{default}")
        lines.append(f":type {field.alias or key}: {annotation_text(field.annotation)}")


def plain_signature(signature: str | None) -> str | None:
    """Return a signature with the names that people write, not the `repr` of defaults and type variables."""
    if signature is None:
        return None
    text = re.sub(r"<(?:class '|function )(?:[\w<>]+\.)*(\w+)'?(?: at 0x\w+)?>", r"\1", signature)
    text = re.sub(r"~typing\.~(\w+)|~(\w+)(?![\w.])", lambda found: found[1] or found[2], text)
    return text.replace("<factory>", "...")


def write_signature(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Write a signature plainly; none for classes that users do not construct, and none for models (fields follow)."""
    if is_model(thing) or is_made_elsewhere(thing):
        return "", None
    return plain_signature(signature), plain_signature(returned)


def set_dashes(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Write the dash between a parameter and its text as one; smart quotes would have done it."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def keep_ids_unique(app: Sphinx, doctree: nodes.document) -> None:
    """Give each id of a page to one element; sphinx-argparse names parts of all commands alike, and usages, too."""
    for usage in doctree.findall(nodes.literal_block):
        usage["ids"] = []
    seen: dict[str, int] = {}
    for section in doctree.findall(nodes.section):
        for number, each in enumerate(section["ids"]):
            seen[each] = seen.get(each, 0) + 1
            if seen[each] > 1:
                section["ids"][number] = f"{each}-{seen[each]}"


def forget_modules_without_source(app: Sphinx) -> list[Any]:
    """Keep modules without a page of source (builtins) out of the index of such pages."""
    modules = getattr(app.env, "_viewcode_modules", {})
    for name in [name for name, found in modules.items() if not found]:
        del modules[name]
    return []


def check_pages(app: Sphinx, error: Exception | None) -> None:
    """Fail a build of pages with links that lead nowhere, or ids that are not unique."""
    if error is not None or app.builder.name != "html":
        return
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.docs.built import problems

    for problem in problems(Path(app.outdir)):
        print(problem, file=sys.stderr)
        app.statuscode = 1


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("build-finished", check_pages)
    app.connect("doctree-read", keep_ids_unique, priority=100)  # before the tables of contents are made
    app.connect("html-collect-pages", forget_modules_without_source, priority=400)
    app.connect("doctree-resolved", set_dashes)
    app.connect("autodoc-process-docstring", describe_fields)
    app.connect("autodoc-process-docstring", leave_out_making)
    app.connect("autodoc-process-signature", write_signature)

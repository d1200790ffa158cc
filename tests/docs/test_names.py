"""One word, one thing: a class name occurs once in the three packages, a term of the glossary once on its page."""

import ast
import functools
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
GLOSSARY: Final = ROOT / "docs" / "reference" / "glossary.md"

EXCUSED: Final = {
    "DummyDevice": "ARTIQ's name for both: the type of the entry, and the object that an experiment gets for it",
}
"""Class names that occur more than once, each with the reason."""


@functools.cache
def class_names() -> dict[str, set[str]]:
    """Return the files in which each class name is defined."""
    found = defaultdict(set)
    for package in ("schemas", "devicedb", "rexec"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found[node.name].add(f"{path.relative_to(ROOT).as_posix()}:{node.lineno}")
    return found


def test_a_class_name_occurs_once() -> None:
    names = class_names()
    assert len(names) > 300
    several = {name: sorted(places) for name, places in names.items() if len(places) > 1}
    assert not {name: places for name, places in several.items() if name not in EXCUSED}


def test_no_excuse_is_out_of_date() -> None:
    names = class_names()
    assert not [name for name in EXCUSED if len(names.get(name, ())) < 2]


def test_a_term_is_explained_once() -> None:
    text = GLOSSARY.read_text(encoding="utf-8")
    terms = re.findall(r"^\| ([^|]+?) \| [^|]", text, re.MULTILINE)
    terms = [term for term in terms if term not in {"Term", "---"}]
    assert len(terms) > 80
    assert not [term for term, count in Counter(terms).items() if count > 1]
    for section in text.split("\n## ")[1:]:
        listed = [term.strip("`").casefold() for term in terms if f"\n| {term} |" in section]
        assert listed == sorted(listed), f"not in the order of the alphabet: {section.partition(chr(10))[0]}"


def test_every_class_of_the_glossary_exists() -> None:
    named = set(re.findall(r"`([A-Z][a-z]\w+)`", GLOSSARY.read_text(encoding="utf-8")))
    assert len(named) > 40
    assert not named - class_names().keys()

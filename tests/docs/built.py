"""Built pages: lost links, double ids, signatures that show internals. `docs/conf.py` looks at each build."""

import collections
import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote

INTERNAL: Final = re.compile(r"~\w|<[a-z]|\bat 0x|_\w+\._?\w+ object")
"""What a default or a type variable shows of itself, where its name is meant."""


class Page(HTMLParser):
    """The ids, links and signatures of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.signatures: list[str] = []
        self._is_signature = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the id and the link of an element."""
        known = dict(attrs)
        if found := known.get("id"):
            self.ids.append(found)
        if tag == "a" and (link := known.get("href")):
            self.links.append(link)
        if tag == "dt" and "sig-object" in (known.get("class") or ""):
            self._is_signature = True
            self.signatures.append("")

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a signature."""
        self._is_signature = self._is_signature and tag != "dt"

    def handle_data(self, data: str) -> None:
        """Take the text of a signature."""
        if self._is_signature:
            self.signatures[-1] += data


def problems(folder: Path) -> list[str]:
    """Return what is wrong with the pages of a folder, a line each."""
    pages = {
        path.relative_to(folder).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.html"))
        if "_static" not in path.parts
    }
    found = []
    for name, page in pages.items():
        found += [
            f"{name}: two elements have the id {each!r}"
            for each, number in collections.Counter(page.ids).items()
            if number > 1
        ]
        found += [
            f"{name}: the signature {' '.join(each.split())[:80]!r} shows internals"
            for each in page.signatures
            if INTERNAL.search(each)
        ]
        for link in dict.fromkeys(page.links):
            path, _, anchor = link.partition("#")
            if "://" in path or path.startswith("mailto:"):
                continue
            target = (
                posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(path))) if path else name
            )
            is_there = target in pages or (folder / target).is_file()
            if not is_there or (anchor and target in pages and unquote(anchor) not in pages[target].ids):
                found.append(f"{name}: the link {link!r} leads nowhere")
    return found

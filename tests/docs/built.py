"""Built pages: links that lead nowhere, ids that two elements of a page share. `docs/conf.py` looks at each build."""

import collections
import posixpath
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote


class Page(HTMLParser):
    """The ids and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the id and the link of an element."""
        known = dict(attrs)
        if found := known.get("id"):
            self.ids.append(found)
        if tag == "a" and (link := known.get("href")):
            self.links.append(link)


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

"""Links between the documents lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from markdown_it import MarkdownIt

from tests.docs.test_documents import DOCUMENTS, ROOT


def links(text: str) -> Iterator[str]:
    """Yield the targets of links and pictures that stay in the repository."""
    for block in MarkdownIt().enable("table").parse(text):
        for token in block.children or ():
            target = token.attrGet("href") or token.attrGet("src")
            if isinstance(target, str) and "://" not in target:
                yield target


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub and MyST make them."""
    words: Final = re.compile(r"[^\w\- ]")
    headings = re.findall(r"^#{1,4} (.+)$", text, flags=re.MULTILINE)
    return {words.sub("", heading.lower().replace("`", "")).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    lost = []
    for link in links(text):
        path, _, anchor = link.partition("#")
        target = (document.parent / path) if path else document
        if not target.exists():
            lost.append(link)
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            lost.append(link)
    assert not lost


def test_the_readme_leads_to_every_guide_and_explanation() -> None:
    linked = set(links((ROOT / "README.md").read_text(encoding="utf-8")))
    pages = {f"docs/{path.parent.name}/{path.name}" for path in ROOT.glob("docs/*/*.md")}
    wanted = {page for page in pages if page.split("/")[1] in {"tutorial", "how-to", "explanation"}}
    assert wanted <= linked


def test_a_decision_bears_its_number() -> None:
    for path in ROOT.glob("docs/decisions/*.md"):
        assert path.read_text(encoding="utf-8").startswith(f"# {int(path.name[:4])}. "), path.name


def test_a_lost_link_is_found() -> None:
    assert list(links("| [a](no.md#x) |\n| --- |\n\n![b](c.svg) <https://d.org>\n")) == ["no.md#x", "c.svg"]
    assert anchors("# A `b` c: d\n## DDB410\n") == {"a-b-c-d", "ddb410"}

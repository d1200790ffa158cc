"""The session on the page of the language server is what an editor and the server say to each other."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.devicedb.lsp_client import LanguageClient
from tests.docs.documents import blocks

pytest.importorskip("pygls", reason="needs the extra lsp")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "language-server.md"


def session(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """The messages of the page, each with the side that sends it."""
    (block,) = [
        each for each in blocks(PAGE.read_text(encoding="utf-8")) if each.note_text.startswith("tests/")
    ]
    text = block.text.replace("file:///lab", folder.as_uri())
    parts = ("\n" + text).replace("\n--> ", "\0>").replace("\n<-- ", "\0<").split("\0")[1:]
    # strict=False: strings may hold ends of lines, which are easier to read than escapes
    return [(part[0], json.loads(part[1:], strict=False)) for part in parts]


def is_like(found: Any, expected: Any) -> bool:
    """Whether a message is the one of the page, where "..." stands for anything."""
    if expected == "...":
        return True
    if isinstance(expected, dict):
        is_open = "..." in expected
        keys = expected.keys() - {"..."}
        return (
            isinstance(found, dict)
            and (keys <= found.keys() if is_open else keys == found.keys())
            and all(is_like(found[key], expected[key]) for key in keys)
        )
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(is_like, found, expected))
    return bool(found == expected)


def test_the_session_of_the_page(tmp_path: Path) -> None:
    client = LanguageClient(tmp_path, "--static", initialize=False)
    messages = session(tmp_path)
    assert len(messages) > 15
    for side, message in messages:
        if side == ">":
            client.send(message)
        else:
            found = client.next()
            assert found.pop("jsonrpc") == "2.0"
            assert is_like(found, message), json.dumps(found, indent=1)
    assert client.gone() == 0

"""The pictures of the README are made by their script, and show what the programs print today."""

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PICTURES: Final = ROOT / "docs" / "pictures"
FILES: Final = {
    "run": ["run.svg", "spot.svg"],
    "response": ["filter-response.svg"],
    "check": ["check.svg"],
    "devices": ["devices.svg"],
    "architecture": ["architecture.svg"],
}


def words(picture: Path) -> str:
    """Return the text of a drawn terminal, or of a plot, without what differs from run to run."""
    svg = picture.read_text(encoding="utf-8")
    # matplotlib draws text as paths, each after a comment that has its words
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", svg) or re.findall(r"<!-- (.*?) -->", svg)
    text = html.unescape(" ".join(drawn)).replace("\N{NO-BREAK SPACE}", " ")
    return " ".join(re.sub(r"[0-9][0-9.:/-]*", "0", text).split())


@pytest.mark.parametrize("name", FILES)
def test_the_script_makes_the_pictures_that_are_shown(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    if os.name == "nt":
        pytest.skip("the pictures show a terminal and paths of POSIX")
    if name == "devices" and shutil.which("dot") is None:
        pytest.skip("needs graphviz, whose program 'dot' is not on the path")
    subprocess.run(
        [sys.executable, str(PICTURES / "make.py"), str(tmp_path), name],
        check=True,
        timeout=500,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": ""},
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES[name]
    for each in FILES[name]:
        assert (tmp_path / each).read_text(encoding="utf-8").lstrip().startswith(("<svg", "<?xml"))
        assert (PICTURES / each).stat().st_size < 60_000
        if name != "devices":  # graphviz places the words otherwise in another release
            assert words(tmp_path / each), "a picture without words is not read right"
            assert words(tmp_path / each) == words(PICTURES / each), (
                f"{each} would say something else now: python docs/pictures/make.py"
            )


def test_every_picture_is_made_by_the_script() -> None:
    assert {path.name for path in PICTURES.glob("*.svg")} == {
        file for files in FILES.values() for file in files
    }

"""The page about notebooks, run in one: what its cells show."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.documents import blocks

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-in-a-notebook.md"
MISSING = [name for name in ("nbclient", "ipykernel") if importlib.util.find_spec(name) is None]


@pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (dependency group `notebook`)"
)
def test_the_page_runs_in_a_notebook_and_shows_what_it_says(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    cells = [
        nbformat.v4.new_code_cell(block.text)
        for block in blocks(PAGE.read_text(encoding="utf-8"))
        if block.language == "python" and "result file" not in block.note_text
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=150, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [_shown(cell) for cell in notebook.cells]
    (tmp_path / "shown.html").write_text("\n<hr>\n".join(shown), encoding="utf-8")
    connected, source, called, started, awaited, interrupted, _ = shown
    assert re.search(r"camera_rexec.*127\.0\.0\.1:\d+", connected, re.S)
    assert "job.progress((point + 1) / points" in source
    assert '<progress value="1.000"' in called  # the last update of the display
    assert "point 19" in called
    assert called.rstrip().endswith("120")
    assert "scan on camera_rexec" in started
    assert awaited.strip() == "120"
    assert "interrupted" in interrupted
    assert interrupted.rstrip().endswith("12")


def _shown(cell: Any) -> str:
    """Return what a cell shows, in HTML where it can."""
    found = []
    for output in cell.outputs:
        data = output.get("data", {})
        found.append(output.get("text") or data.get("text/html") or data.get("text/plain", ""))
    return "\n".join(found)

"""What notebooks show of a run."""

import sys
from pathlib import Path

import numpy as np
import pytest

from rexec import results
from schemas import RunIdentity


def written(path: Path) -> Path:
    identity = RunIdentity(rid=7, class_name="Ramsey", start_time=0.0, simulated=["camera"])
    with results.ResultsWriter.create(path, identity, refresh_interval=0) as writer:
        writer.set("delay <us>", np.arange(5) * 1e-6, {"unit": "us"})
        writer.set("label", "a & b", {})
    return path


def test_a_run_shows_what_it_is_its_datasets_and_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with results.open(written(tmp_path / "r.h5")) as run:
        assert repr(run) == f"<Run 7 at {tmp_path / 'r.h5'}: completed, 2 datasets>"
        monkeypatch.setitem(sys.modules, "rexec.results.reading._panels", None)
        without = run._repr_html_()
        monkeypatch.undo()
        shown = run._repr_html_()
    for part in (
        "<b>run 7 of Ramsey</b> completed",
        "not measured",
        "delay &lt;us&gt;",
        "a &amp; b",
        ">us</td>",
    ):
        assert part in without
        assert part in shown
    assert "<img" not in without
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    assert 'src="data:image/png;base64,' in shown

"""What a picture of datasets shows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec import results
from rexec.cli.results import main
from schemas import RunIdentity


@pytest.mark.parametrize(
    ("axis", "scale"),
    [
        (np.geomspace(50, 5e4, 25), "log"),
        (np.arange(25.0), "linear"),
        (np.array([1.0, 10.0, 90.0]), "linear"),
    ],
)
def test_a_dataset_is_drawn_against_another(
    tmp_path: Path, axis: Any, scale: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = pytest.importorskip("matplotlib.figure", reason="needs the extra plot").Figure
    drawn: list[Any] = []

    def keep(self: Any, target: Path) -> None:
        drawn.append(self)

    monkeypatch.setattr(figure, "savefig", keep)
    path = tmp_path / "r.h5"
    with results.ResultsWriter.create(
        path, RunIdentity(rid=3, class_name="Scan", start_time=0.0), refresh_interval=0
    ) as writer:
        writer.set("frequency", axis, {"unit": "Hz"})
        writer.set("gain", np.sqrt(axis), {})
    assert main(["plot", str(path), "-x", "frequency"]) == 0
    assert capsys.readouterr().out.endswith(": gain\n")
    (panel,) = drawn[0].axes
    assert panel.get_xscale() == scale
    assert panel.get_xlabel() == "frequency (Hz)"
    assert np.array_equal(panel.lines[0].get_xdata(), axis)
    with pytest.raises(results.ResultsError, match="no dataset 'nope'; it has"):
        main(["plot", str(path), "-x", "nope"])


def test_a_pattern_that_fits_several_runs_is_not_taken_for_datasets(tmp_path: Path) -> None:
    files = [str(tmp_path / f"00000000{number}-Scan.h5") for number in range(3)]
    for file in files:
        Path(file).touch()
    with pytest.raises(results.ResultsError, match=r"one file is drawn at a time, but there are 3.*Name one"):
        main(["plot", *files, "gain"])

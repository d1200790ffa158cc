"""What a picture of datasets shows."""

import itertools
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec import results
from rexec.cli.results import main
from rexec.results.reading import plotting
from rexec.results.reading.rendering import render
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

    def keep(self: Any, target: Any, **_: Any) -> None:
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


def scan(path: Path, **fields: Any) -> Path:
    identity = RunIdentity(
        rid=7, class_name="Ramsey", start_time=0.0, expid={"arguments": {"n": 3}}, **fields
    )
    with results.ResultsWriter.create(path, identity, refresh_interval=0) as writer:
        writer.set("t", np.arange(5) * 1e-6, {"unit": "us"})
        writer.set("ions", np.arange(15.0).reshape(5, 3), {})
        writer.set("other", np.arange(4.0), {})
        writer.set("a $\\x{", 5e-6, {"unit": "us"})
        writer.set("contrast", 0.9, {})
    return path


def figure_of(path: Path, keys: list[str] | None = None, against: str | None = None) -> Any:
    panels = pytest.importorskip("rexec.results.reading._panels", reason="needs the extra plot")
    agg = pytest.importorskip("matplotlib.backends.backend_agg", reason="needs the extra plot")
    with results.open(path) as run:
        figure = panels.draw(plotting.planned(run, keys, against), plotting.title(run), run.is_simulated)
        agg.FigureCanvasAgg(figure).draw()
    return figure


def test_points_by_ions_are_a_line_an_ion_with_a_legend(tmp_path: Path) -> None:
    figure = figure_of(scan(tmp_path / "r.h5"), ["ions"], "t")
    (panel,) = figure.axes
    assert len(panel.lines) == 3
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["[:, 0]", "[:, 1]", "[:, 2]"]
    assert panel.get_xlabel() == "t (us)"
    assert panel.lines[2].get_xdata() == pytest.approx(np.arange(5))


def test_single_numbers_share_a_panel_and_are_shown_in_their_units(tmp_path: Path) -> None:
    figure = figure_of(scan(tmp_path / "r.h5"))
    texts = [text.get_text() for panel in figure.axes for text in panel.texts]
    assert texts == ["a $\\x{ = 5 us\ncontrast = 0.9"]


def test_the_title_names_run_class_and_what_was_set(tmp_path: Path) -> None:
    title = figure_of(scan(tmp_path / "r.h5")).get_suptitle()
    assert title.startswith("run 7  Ramsey")
    assert title.endswith("n=3")


def test_a_picture_of_simulated_data_says_so(tmp_path: Path) -> None:
    figure = figure_of(scan(tmp_path / "r.h5", simulated=["camera"]))
    assert "SIMULATED" in figure.get_supxlabel()


def test_what_is_not_drawn_is_named_in_the_picture_and_at_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = scan(tmp_path / "r.h5")
    figure = figure_of(path, None, "t")
    assert "not drawn: a $\\x{, contrast, other" in figure.get_supxlabel()
    assert main(["plot", str(path), "-x", "t"]) == 0
    assert "not drawn: a $\\x{, contrast, other\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("keys", "against", "message"),
    [
        (["other"], "t", r"'other' of .* cannot be drawn against 't': it has shape \(4,\), 't' has \(5,\)"),
        (["t"], "ions", "the axis is one-dimensional"),
        (None, "contrast", "no dataset of .* can be drawn against 'contrast'"),
    ],
)
def test_an_axis_that_does_not_fit_is_an_error_that_says_why(
    tmp_path: Path, keys: list[str] | None, against: str, message: str
) -> None:
    with results.open(scan(tmp_path / "r.h5")) as run, pytest.raises(results.ResultsError, match=message):
        plotting.planned(run, keys, against)


@pytest.mark.parametrize("offset", [0.0, 1e9])
@pytest.mark.parametrize(
    "name", ["y", "a/very/long/name/of/a/dataset/that/nobody/would/ever/type/but/programs/do"]
)
def test_labels_ticks_and_titles_do_not_collide(tmp_path: Path, name: str, offset: float) -> None:
    path = tmp_path / "r.h5"
    identity = RunIdentity(
        rid=7, class_name="C" * 60, start_time=0.0, expid={"arguments": {"n" * 50: "v" * 500}}
    )
    with results.ResultsWriter.create(path, identity, refresh_interval=0) as writer:
        writer.set(name, offset + np.linspace(0, 1e-3, 50), {"unit": "MHz"})
        writer.set("z", np.random.default_rng(1).normal(size=(20, 30)) + offset, {"unit": "kV"})
        writer.set("w", offset * np.ones(9), {})
    figure = figure_of(path)
    renderer = figure.canvas.get_renderer()
    for panel in figure.axes:
        for axis in (panel.xaxis, panel.yaxis):
            boxes = [tick.get_window_extent(renderer) for tick in axis.get_ticklabels() if tick.get_text()]
            inside = [box for box in boxes if box.width > 0]
            assert not any(one.overlaps(two) for one, two in itertools.pairwise(inside)), (
                panel.get_title(),
                axis,
            )
            label = axis.label.get_window_extent(renderer)
            assert not (axis.label.get_text() and any(label.overlaps(box) for box in inside))
    titles = [panel.title.get_window_extent(renderer) for panel in figure.axes if panel.get_title()]
    assert not any(one.overlaps(two) for one, two in itertools.combinations(titles, 2))


def test_a_picture_is_drawn_with_settings_of_its_own(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="needs the extra plot")
    seen: list[Any] = []

    class Figure:
        def savefig(self, picture: Any, format: str) -> None:
            warnings.warn("Glyph 7 missing from the font", stacklevel=1)
            seen.append((format, matplotlib.rcParams["agg.path.chunksize"]))
            picture.write(b"drawn")

    before = matplotlib.rcParams["agg.path.chunksize"], list(warnings.filters)
    render(tmp_path / "a.svg", Figure)
    assert seen == [("svg", 1000)]
    assert (tmp_path / "a.svg").read_bytes() == b"drawn"
    assert (matplotlib.rcParams["agg.path.chunksize"], list(warnings.filters)) == before
    (tmp_path / "b.png").mkdir()
    with pytest.raises(results.ResultsError, match=r"cannot write the picture .*b\.png: "):
        render(tmp_path / "b.png", Figure)


def test_a_long_line_is_drawn_with_its_peaks(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    data = np.zeros(300_000)
    data[123_456] = 7.0
    with results.ResultsWriter.create(
        path, RunIdentity(rid=1, class_name="A", start_time=0.0), refresh_interval=0
    ) as writer:
        writer.set("x", data, {})
    (panel,) = figure_of(path).axes
    along, values = panel.lines[0].get_data()
    assert len(values) <= 20_000
    assert values.max() == 7.0
    assert along[np.argmax(values)] == 123_456


def test_the_title_of_a_scan_that_goes_on_says_how_many_points_are_there(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    with results.ResultsWriter.create(
        path, RunIdentity(rid=1, class_name="A", start_time=0.0), refresh_interval=0
    ) as writer:
        writer.set("y", np.array([1.0, 2.0, 3.0] + [np.nan] * 18), {})
        writer.set("map", np.array([[1.0, 2.0, 3.0]] + [[np.nan] * 3] * 3), {})
    panels = [panel for panel in figure_of(path).axes if panel.get_title()]
    assert [panel.get_title() for panel in panels] == ["map  (3 of 12 points)", "y  (3 of 21 points)"]


def test_what_is_masked_is_neither_drawn_nor_in_a_range(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.h5"
    line = np.ma.array([1, 2, 900], mask=[False, False, True])
    data = {
        "line": line,
        "map": np.ma.array(np.arange(12.0).reshape(3, 4), mask=np.arange(12).reshape(3, 4) > 4),
    }
    results.write_results(path, RunIdentity(rid=3, class_name="Scan", start_time=0.0), data)
    panels = [panel for panel in figure_of(path).axes if panel.get_title()]
    assert [panel.get_title() for panel in panels] == ["line  (2 of 3 points)", "map  (5 of 12 points)"]
    assert np.array_equal(panels[0].lines[0].get_ydata(), [1.0, 2.0, np.nan], equal_nan=True)
    assert main(["show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "int64 3, 2 of 3 points, 1 to 2\n" in shown
    assert "float64 3 x 4, 5 of 12 points, 0 to 4\n" in shown


def test_an_axis_without_a_value_is_refused_and_what_has_no_numbers_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    path = tmp_path / "r.h5"
    data = {"y": np.arange(5.0), "t": np.full(5, np.nan), "text": ["a", "b"]}
    results.write_results(path, RunIdentity(rid=3, class_name="Scan", start_time=0.0), data)
    with pytest.raises(results.ResultsError, match="can be drawn against 't': all its 5 values are NaN"):
        main(["plot", str(path), "y", "-x", "t"])
    assert main(["plot", str(path)]) == 0
    assert "not drawn: text\n" in capsys.readouterr().out


@pytest.mark.parametrize(("count", "end"), [(11, r"d10 \(3,\), z \(4,\)$"), (12, r"d11 \(3,\) and 1 more$")])
def test_of_many_datasets_that_do_not_fit_an_axis_twelve_are_named(
    tmp_path: Path, count: int, end: str
) -> None:
    data = {f"d{number:02}": np.zeros(3) for number in range(count)} | {"z": np.ones(4)}
    results.write_results(tmp_path / "r.h5", RunIdentity(rid=1, class_name="A", start_time=0.0), data)
    with results.open(tmp_path / "r.h5") as run:
        with pytest.raises(results.ResultsError, match=f"none has 4 rows. It has .*{end}"):
            plotting.planned(run, None, "z")


@pytest.mark.parametrize(("lines", "numbers"), [(17, 0), (17, 26), (3, 26)])
def test_a_picture_has_so_many_panels_and_numbers_and_names_the_rest(
    tmp_path: Path, lines: int, numbers: int
) -> None:
    data = {f"a{n:02}": np.arange(3.0) for n in range(lines)} | {f"n{n:02}": n for n in range(numbers)}
    results.write_results(tmp_path / "r.h5", RunIdentity(rid=1, class_name="A", start_time=0.0), data)
    with results.open(tmp_path / "r.h5") as run:
        plan = plotting.planned(run, None, None)
    most = min(lines, 15 if numbers else 16)
    assert [panel.stored.key for panel in plan.panels] == list(data)[:most]
    assert [each.key for each in plan.numbers] == [f"n{n:02}" for n in range(min(numbers, 24))]
    assert plan.left_out == [key for key in data if key not in plan.drawn]


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"rid": 7}, "run 7  A"),
        ({"rid": 7, "expid": {"arguments": {"n": 3, "text": "a" * 40}}}, f"run 7  A\nn=3, text='{'a' * 22}…"),
        (
            {"rid": 7, "expid": {"arguments": {f"n{n:02}": 1000 for n in range(40)}}},
            "run 7  A\n"
            + ", ".join(f"n{n:02}=1000" for n in range(10))
            + ",\n"
            + ", ".join(f"n{n:02}=1000" for n in range(10, 19))
            + ", …",
        ),
    ],
)
def test_the_title_says_which_run_it_is_and_what_was_set(
    tmp_path: Path, fields: dict[str, Any], title: str
) -> None:
    identity = RunIdentity(**{"class_name": "A", "start_time": 0.0, **fields})
    results.write_results(tmp_path / "r.h5", identity, {})
    with results.open(tmp_path / "r.h5") as run:
        assert plotting.title(run) == title


@pytest.mark.parametrize(
    ("facts", "title"),
    [
        ({}, "artiq.h5"),
        ({"rid": 4}, "run 4"),
        ({"expid": '{"class_name": "Scan"}'}, "Scan"),
        ({"rid": 4, "expid": '{"class_name": "Scan", "arguments": {}}'}, "run 4  Scan"),
        ({"rid": 4, "expid": '{"arguments": [1]}'}, "run 4"),
        (
            {"rid": 4, "start_time": 100.0},
            f"run 4  {datetime.fromtimestamp(100.0).isoformat(' ', 'minutes')}",
        ),
    ],
)
def test_the_title_of_a_file_of_artiq_says_what_is_known(
    tmp_path: Path, facts: dict[str, Any], title: str
) -> None:
    with h5py.File(tmp_path / "artiq.h5", "w") as file:
        for name, value in facts.items():
            file[name] = value
    with results.open(tmp_path / "artiq.h5") as run:
        assert plotting.title(run) == title

"""HDF5 files that are not what their names say: each command gives a line, reads little, and stays inside the file."""

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import h5py
import numpy as np
import pytest
from h5py import h5d, h5s, h5t

from devicedb import opening
from rexec import results
from rexec.catalogue.reading import facts_of
from rexec.cli.results import main
from rexec.results.reading import foreign
from rexec.results.reading.shown import short
from schemas import RunIdentity


def ours(path: Path) -> h5py.File:
    """Return a result file of ours, open for spoiling."""
    with results.ResultsWriter.create(path, RunIdentity(rid=1, class_name="Scan", start_time=1.0)) as writer:
        writer.set("x", np.arange(5.0), {"unit": "us"})
        writer.set("n", None, {})
        writer.declare_plot("x", [])
    return h5py.File(path, "r+")


def replaced(name: str, value: Any) -> Callable[[h5py.File], None]:
    def spoil(file: h5py.File) -> None:
        if name in file:
            del file[name]
        if value is h5py.Group:
            file.create_group(name)
        else:
            file[name] = value

    return spoil


def with_attribute(node: str, name: str, value: Any) -> Callable[[h5py.File], None]:
    def spoil(file: h5py.File) -> None:
        file[node].attrs[name] = value

    return spoil


def references(file: h5py.File) -> None:
    refs = file["datasets"].create_dataset("refs", (3,), dtype=h5py.ref_dtype)
    refs[0] = file["datasets/x"].ref
    file["datasets"].create_dataset("regions", (3,), dtype=h5py.regionref_dtype)


def soft_link_to_itself(file: h5py.File) -> None:
    del file["rexec/plot"]
    file["rexec/plot"] = h5py.SoftLink("/rexec/plot")


def thousands_of_groups(file: h5py.File) -> None:
    for number in range(3000):
        file.create_group(f"datasets/{number}/g")


def groups_within_groups(file: h5py.File) -> None:
    file["datasets"].create_group("/".join("g" * 3000))["x"] = 1.0


def terabytes(file: h5py.File) -> None:
    file["datasets"].create_dataset(
        "huge", (10**6, 10**6), dtype="f8", chunks=(1000, 1000), compression="gzip"
    )
    file["datasets"].create_dataset("long", (10**12,), dtype="f8", chunks=(10**6,))


def texts_by_the_million(file: h5py.File) -> None:
    file["datasets"].create_dataset("texts", (2_000_000,), dtype=h5py.string_dtype())


def odd_types(file: h5py.File) -> None:
    group = file["datasets"]
    group["enum"] = np.zeros(3, h5py.enum_dtype({"a": 0, "b": 1}))
    group["opaque"] = np.void(b"\x00\x01")
    group.create_dataset("ragged", (2,), dtype=h5py.vlen_dtype(np.int32))
    group["compound"] = np.zeros(2, [("a", "i4"), ("b", "S3")])
    group["\x1b[2Jname\r\n\u202e"] = "\x1b]0;title\x07"


SPOILED: Final[dict[str, Callable[[h5py.File], None]]] = {
    **{
        f"{name} is a group": replaced(name, h5py.Group)
        for name in ("rid", "expid", "start_time", "rexec/problems", "rexec/degraded")
    },
    **{f"{name} is a dataset": replaced(name, 5) for name in ("datasets", "archive", "rexec", "rexec/plot")},
    **{
        f"expid is {value!r}": replaced("expid", value)
        for value in ("{", "[1]", '{"arguments": 3}', b"\xff\xfe", np.arange(4), h5py.Empty("f"))
    },
    "rid is text": replaced("rid", "seven"),
    "start_time is NaN": replaced("start_time", np.nan),
    "start_time is huge": replaced("start_time", 1e300),
    **{
        f"degraded is {value!r}": replaced("rexec/degraded", value)
        for value in (5, b"\xff\xfe", np.arange(4), h5py.Empty("f"), "\x1b[2J\r\u2028a\nb")
    },
    "null dataspace": replaced("datasets/empty", h5py.Empty("f8")),
    "form is of another kind": with_attribute("datasets/x", "rexec_form", "journal"),
    "form is a number": with_attribute("datasets/x", "rexec_form", 5),
    "type is odd": with_attribute("datasets/x", "rexec_type", "list list list ndarray"),
    "dtype is odd": with_attribute("datasets/x", "rexec_dtype", "O"),
    "unit is an array": with_attribute("datasets/x", "unit", np.arange(9)),
    "scale is text": with_attribute("datasets/x", "scale", "big"),
    "scale is zero": with_attribute("datasets/x", "scale", 0.0),
    "precision is huge": with_attribute("datasets/x", "precision", 10**9),
    "precision is negative": with_attribute("datasets/x", "precision", -5),
    "metadata are no PYON": with_attribute("datasets/x", "rexec_metadata", "{{{"),
    "checksum is text": with_attribute("datasets/x", "rexec_crc32", "abc"),
    "status is an array": with_attribute("rexec", "status", np.arange(3)),
    "axes are numbers": with_attribute("rexec/plot", "axes", np.arange(3)),
    "signal is a number": with_attribute("rexec/plot", "signal", 7),
    "git is a list": replaced("rexec/git", "[1, 2]"),
    "versions is text": replaced("rexec/versions", '"new"'),
    "references": references,
    "soft link to itself": soft_link_to_itself,
    "thousands of groups": thousands_of_groups,
    "groups within groups": groups_within_groups,
    "terabytes": terabytes,
    "texts by the million": texts_by_the_million,
    "odd types": odd_types,
}


def outcome(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command printed, or the one line that it ended with."""
    refused = None
    try:
        main(arguments)
    except results.ResultsError as error:
        refused = str(error)
    printed = capsys.readouterr()
    if refused is not None:
        assert "\n" not in refused
        return refused
    assert all(char.isprintable() or char in "\n\t" for char in printed.out + printed.err), printed
    return printed.out


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_spoiled_file_is_shown_as_far_as_it_can_be_read(
    tmp_path: Path, spoil: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, other = tmp_path / "spoiled.h5", tmp_path / "other.h5"
    ours(other).close()
    with ours(path) as file:
        SPOILED[spoil](file)
    assert outcome(["show", str(path)], capsys)
    with results.open(path) as run:
        keys = list(run.datasets)[:20]
        assert isinstance(repr(run.identity), str)
        assert all(isinstance(each, str) and len(each.splitlines()) <= 1 for each in run.degraded)
    for key in keys:
        assert outcome(["show", str(path), key], capsys)
    outcome(["diff", str(path), str(other)], capsys)
    assert outcome(["verify", str(path)], capsys)
    assert outcome(["plot", str(path), "-o", str(tmp_path / "p.png")], capsys)
    xarray = pytest.importorskip("xarray", reason="needs the extra xarray")
    with contextlib.suppress(results.ResultsError):
        xarray.open_dataset(path, engine="rexec")


def test_a_type_that_numpy_does_not_have_is_one_error_however_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "time.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("datasets")
        h5d.create(group.id, b"when", h5t.UNIX_D32LE, h5s.create_simple((3,)))
    with results.open(path) as run:
        found = run.datasets["when"]
        ways: list[Callable[[], Any]] = [
            lambda: found.dtype,
            lambda: found.nbytes,
            lambda: found.value,
            lambda: found[0],
            lambda: found.numbers(0),
            found.is_numeric,
        ]
        for way in ways:
            with pytest.raises(results.ResultsError, match=r"'when' of .*time.h5 cannot be read: TypeError"):
                way()
        assert (found.shape, found.unit, found.origin, found.has_data()) == ((3,), None, "run", True)
        assert repr(found) == "<StoredDataset when (3,) cannot be read>"


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no FIFOs")
    os.mkfifo(path)
    assert main(["verify", str(path)]) == 2
    for command in (["show", str(path)], ["plot", str(path)], ["tail", str(path)]):
        with pytest.raises(results.ResultsError, match=r"no regular file|has a journal"):
            main(command)
    pytest.importorskip("xarray", reason="needs the extra xarray")
    from rexec.results.reading.xarray_backend import RexecBackend

    assert not RexecBackend().guess_can_open(path)


def test_data_in_other_files_are_read_only_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, secret = tmp_path / "r.h5", tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["key"] = "secret text"
        file["numbers"] = np.arange(7.0)
    (tmp_path / "raw").write_bytes(b"secret!!")
    with ours(path) as file:
        file["datasets/link"] = h5py.ExternalLink(str(secret), "/key")
        file["datasets"].create_dataset("raw", (8,), "u1", external=[(str(tmp_path / "raw"), 0, 8)])
        layout = h5py.VirtualLayout((7,), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "numbers", (7,))
        file["datasets"].create_virtual_dataset("virtual", layout)
        del file["expid"]
        file["expid"] = h5py.ExternalLink(str(secret), "/key")
    shown = outcome(["show", str(path)], capsys)
    assert "secret text" not in shown
    assert "datasets/link is a link to" in shown
    for key in ("raw", "virtual"):
        assert "in another file" in outcome(["show", str(path), key], capsys)
    assert "secret text" in outcome(["show", str(path), "link", "--external"], capsys)
    assert outcome(["show", str(path), "virtual", "--external"], capsys).startswith("[0. 1. 2.")


def through_the_file_itself(file: h5py.File, secret: Path) -> None:
    """Make datasets and parts of them that are in this file, and lead into another one all the same."""
    group = file["datasets"]
    group["link"] = h5py.ExternalLink(str(secret), "/numbers")
    file.create_group("inner")["link"] = h5py.ExternalLink(str(secret), "/numbers")
    file["link"] = np.zeros(7)
    file["inner/relative"] = h5py.SoftLink("link")
    file["inner/absolute"] = h5py.SoftLink("/datasets/link")
    for number, source in enumerate(
        ("datasets/link", "inner/relative", "inner/absolute", "datasets/virtual0")
    ):
        layout = h5py.VirtualLayout((7,), "f8")
        layout[:] = h5py.VirtualSource(".", source, (7,))
        group.create_virtual_dataset(f"virtual{number}", layout)
    group["beside"] = np.zeros(7)
    group["beside"].attrs["rexec_beside"] = "/parts"
    file["parts"] = h5py.ExternalLink(str(secret), "/")
    group["part"] = np.zeros(7)
    group["part"].attrs["rexec_beside"] = "/inner_parts"
    file.create_group("inner_parts")["exact"] = h5py.ExternalLink(str(secret), "/exact")
    for name in ("expid", "rid", "start_time"):
        del file[name]
        file[name] = h5py.ExternalLink(str(secret), f"/{name}")


def test_no_way_through_the_file_itself_leads_into_another_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, secret = tmp_path / "r.h5", tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["numbers"], file["exact"] = np.full(7, 12345.0), "secret 12345"
        file["expid"], file["rid"], file["start_time"] = '{"class_name": "secret 12345"}', 12345, 12345.0
    with ours(path) as file:
        through_the_file_itself(file, secret)
    with results.open(path) as run:
        keys = list(run.datasets)
        assert {"virtual0", "virtual1", "virtual2", "virtual3", "beside", "part"} <= set(keys)
        for key in keys:
            with contextlib.suppress(results.ResultsError):
                assert "12345" not in str(run.datasets[key].value), key
            assert "12345" not in outcome(["show", str(path), key], capsys), key
        assert "12345" not in str(run.identity)
    assert "12345" not in str(facts_of(path))
    with results.open(path, external=True) as run:
        assert run["virtual2"].tolist() == [12345.0] * 7


def test_a_virtual_dataset_of_the_same_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    with ours(path) as file:
        for name, source in (("one", "datasets/x"), ("two", "datasets/one")):
            layout = h5py.VirtualLayout((5,), "f8")
            layout[:] = h5py.VirtualSource(".", source, (5,))
            file["datasets"].create_virtual_dataset(name, layout)
    with results.open(path) as run:
        assert run["two"].tolist() == [0, 1, 2, 3, 4]


LIMIT: Final = 400 * 2**20
"""Bytes of address space beyond what the imports take."""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is set by what Linux says of the process")
@pytest.mark.parametrize("command", [["show"], ["show", "KEY"], ["plot", "KEY", "-o", "TARGET"]])
def test_a_large_dataset_is_not_read_whole(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        file["rid"] = 1
        # A dataset of 800 MB in chunks that are not there: they read as zeros.
        file.create_dataset("datasets/large", (100_000_000,), "f8", chunks=(100_000,))
        file["datasets/large"][50_000_000] = 7.0
    words = [{"KEY": "large", "TARGET": str(tmp_path / "p.png")}.get(word, word) for word in command]
    words.insert(1, str(path))
    program = (
        "import resource, sys; from rexec.cli.results import main; import matplotlib.figure, numpy\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (used + {LIMIT}, used + {LIMIT}))\n"
        f"sys.exit(main({words!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "large" in done.stdout or "[0. 0. 0." in done.stdout


@pytest.mark.parametrize(
    "value",
    [
        10**6000,
        "x" * 10**7,
        ["\x1b" * 500] * 9,
        {"a": [[[[[[[[[[1]]]]]]]]]]},
        type("Odd", (), {"__repr__": None})(),
    ],
    ids=["int", "text", "controls", "nested", "odd"],
)
def test_any_value_is_one_short_printable_line(value: Any) -> None:
    text = short(value, 60)
    assert len(text) <= 60
    assert text.isprintable()


@pytest.mark.parametrize("refuses", [True, False])
def test_a_file_that_is_just_replaced_is_opened_at_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    ours(tmp_path / "run.h5").close()
    opened, clock = h5py.File, iter([0.0, 1.0, 2.0])
    refusals = [PermissionError(errno.EACCES, "Permission denied")] * 2

    def once_more(path: Path, mode: str) -> h5py.File:
        if refusals:
            raise refusals.pop()
        return opened(path, mode)

    monkeypatch.setattr(h5py, "File", once_more)
    monkeypatch.setattr(opening, "_REFUSES_HELD_FILES", refuses)
    pauses: list[float] = []
    monkeypatch.setattr(opening, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=pauses.append))
    if refuses:
        foreign.open_foreign(tmp_path / "run.h5").close()
        refusals = [PermissionError(errno.EACCES, "Permission denied")] * 3
        clock = iter([0.0, 1.0, 6.0])
    with pytest.raises(results.ResultsError, match="Permission denied; you need the right to read it"):
        foreign.open_foreign(tmp_path / "run.h5")
    assert len(refusals) == 1
    assert len(pauses) == (3 if refuses else 0)

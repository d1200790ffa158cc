"""What each call of a run's writer keeps, and that its end is one, in whatever way the run ends."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

from rexec import results
from rexec.ground import forks
from rexec.results import ResultsError, ResultsNotWritable, ResultsWriter, journal_path, verify
from rexec.results.degraded import DegradedStates
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import HEADER, Kind, Record
from rexec.results.refresher import Refresher
from schemas import RunIdentity

IDENTITY = RunIdentity(rid=7, class_name="Scan", start_time=100.5)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Any]:
    writer = ResultsWriter.create(tmp_path / "r.h5", IDENTITY, refresh_interval=0, sync_interval=0)
    yield writer
    writer._let_go()


def records(writer: Any) -> list[Record]:
    with JournalReader(journal_path(writer.path)) as reader:
        return list(reader.records())


def a_set(**others: Any) -> Record:
    return Record(Kind.SET, "x", value=1, metadata={"unit": "V"}, **others)


@pytest.mark.parametrize(
    ("call", "kept"),
    [
        (lambda w: w.set("x", 1, {"unit": "V"}), a_set()),
        (lambda w: w.set("x", 1, {"unit": "V"}, broadcast=True), a_set(broadcast=True)),
        (lambda w: w.set("x", 1, {"unit": "V"}, persist=True), a_set(persist=True)),
        (lambda w: w.set("x", 1, {"unit": "V"}, archive=False), a_set(archive=False)),
        (lambda w: w.set("x", 1, {"unit": "V"}, origin="client"), a_set(origin="client")),
        (lambda w: w.append("x", 1.5), Record(Kind.APPEND, "x", value=1.5, archive=False)),
        (
            lambda w: w.append("x", 1.5, origin="client"),
            Record(Kind.APPEND, "x", value=1.5, origin="client", archive=False),
        ),
        (lambda w: w.appender("x", []).append(1.5), Record(Kind.APPEND, "x", value=1.5, archive=False)),
        (lambda w: w.mutate("x", 0, 2), Record(Kind.MUTATE, "x", value=2, index=0)),
        (
            lambda w: w.mutate("x", 0, 2, origin="client"),
            Record(Kind.MUTATE, "x", value=2, index=0, origin="client"),
        ),
        (lambda w: w.delete("x"), Record(Kind.DELETE, "x")),
        (lambda w: w.delete("x", origin="client"), Record(Kind.DELETE, "x", origin="client")),
        (
            lambda w: w.archive("x", 2, {"unit": "V"}),
            Record(Kind.ARCHIVE, "x", value=2, metadata={"unit": "V"}),
        ),
        (lambda w: w.update_identity(run_time=5.0), Record(Kind.IDENTITY, value={"run_time": 5.0})),
        (lambda w: w.note("n", [1]), Record(Kind.NOTE, "n", value=[1])),
        (lambda w: w.declare_plot("y"), Record(Kind.NOTE, "plot", value={"signal": "y", "axes": []})),
        (
            lambda w: w.declare_plot("y", ("t",)),
            Record(Kind.NOTE, "plot", value={"signal": "y", "axes": ["t"]}),
        ),
        (
            lambda w: (w.set_storage("x", level=1), w.set_storage("y", shuffle=True)),
            Record(Kind.NOTE, "storage", value={"x": {"level": 1}, "y": {"shuffle": True}}),
        ),
        (
            lambda w: w.add_degraded("no clock"),
            Record(Kind.NOTE, "degraded", value={"text": "no clock", "holds": True}),
        ),
        (
            lambda w: (w.add_degraded("no clock"), w.remove_degraded("no clock")),
            Record(Kind.NOTE, "degraded", value={"text": "no clock", "holds": False}),
        ),
    ],
)
def test_each_call_is_a_record_before_it_returns(
    writer: Any, call: Callable[[Any], object], kept: Record
) -> None:
    position, size = writer.position, writer.journal_size
    call(writer)
    found = records(writer)[-1]
    assert found._replace(time=0.0, number=0) == kept
    assert found.time > 1e9
    assert (writer.position > position) == (kept.kind not in {Kind.NOTE, Kind.IDENTITY})
    assert size < writer.journal_size == journal_path(writer.path).stat().st_size


@pytest.mark.parametrize("unkept", [False, True])
def test_that_something_was_not_kept_is_known(writer: Any, unkept: bool) -> None:
    writer.add_degraded("no room", unkept=unkept)
    assert writer.degraded.is_unkept == unkept
    writer.add_degraded("no clock")
    assert writer.degraded.is_unkept == unkept


def test_a_run_begins_with_who_it_is_on_the_disk_and_with_what_was_said_before(tmp_path: Path) -> None:
    states = DegradedStates()
    states.add("no clock")
    writer: Any = ResultsWriter.create(
        tmp_path / "r.h5", IDENTITY, refresh_interval=0, sync_interval=0, degraded=states
    )
    identity, degraded = records(writer)
    assert identity.value == IDENTITY.as_dict() | {"pid": os.getpid()}
    assert degraded.value == {"text": "no clock", "holds": True}
    assert writer._journal.synced == writer.journal_size
    with h5py.File(writer.path) as file:
        assert file["rid"][()] == 7
    writer._journal.on_healed("it was healed")
    assert list(states) == ["no clock", "it was healed"]
    assert not writer._refresher._thread.is_alive()
    writer.discard()


@pytest.mark.parametrize(
    ("error", "raised"),
    [(ResultsError("no room"), ResultsNotWritable), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_run_whose_file_cannot_be_begun_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, raised: type[BaseException]
) -> None:
    closed: list[Refresher] = []
    close = Refresher.close

    def fail(_: Refresher) -> None:
        raise error

    def noted(self: Refresher) -> None:
        closed.append(self)
        close(self)

    monkeypatch.setattr(Refresher, "refresh", fail)
    monkeypatch.setattr(Refresher, "close", noted)
    with pytest.raises(raised) as caught:
        ResultsWriter.create(tmp_path / "r.h5", IDENTITY, refresh_interval=0, sync_interval=0)
    assert len(closed) == 1
    if raised is ResultsNotWritable:
        assert str(caught.value) == f"cannot write the result file {tmp_path / 'r.h5'}: no room"
        assert os.listdir(tmp_path) == []


class Refused:
    """A lock that another thread of the parent had when this process was forked."""

    def __enter__(self) -> None:
        raise AssertionError("it would be waited for, for ever")

    def __exit__(self, *_: object) -> None:
        pass


def test_a_fork_ends_nothing_and_waits_for_nobody(writer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = writer.path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(forks, "generation", forks.generation + 1)
        writer._journal.disown()
        patch.setattr(writer._refresher, "_lock", Refused())
        for end in (writer.snapshot, writer.close, lambda: writer.close("failed")):
            with pytest.raises(ResultsError, match="belong to process"):
                end()
        writer.discard()
        with writer:
            pass
    assert writer.path.read_bytes() == before
    assert journal_path(writer.path).exists()


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        ("completed", None, None),
        ("failed", ValueError("odd"), "ValueError: odd"),
        ("interrupted", "by hand", "by hand"),
    ],
)
def test_the_end_is_in_the_file_and_nothing_is_beside_it(
    writer: Any, status: str, error: Any, said: Any
) -> None:
    writer.set("x", 1, {})
    assert writer.close(status, error=error) == writer.path
    with h5py.File(writer.path) as file:
        assert file["rexec"].attrs["status"] == status
        assert (file["rexec/error"].asstr()[()] if "error" in file["rexec"] else None) == said
    assert os.listdir(writer.path.parent) == ["r.h5"]
    assert verify(writer.path) == []


@pytest.mark.parametrize(
    ("error", "status"), [(None, "completed"), (ValueError("odd"), "failed"), (KeyboardInterrupt(), "failed")]
)
@pytest.mark.parametrize("is_closed", [False, True])
def test_a_context_ends_as_its_block_does_unless_that_has_ended_the_run(
    writer: Any, error: BaseException | None, status: str, is_closed: bool
) -> None:
    with contextlib.suppress(ValueError, KeyboardInterrupt), writer as entered:
        assert entered is writer
        if is_closed:
            writer.close("by hand")
        if error is not None:
            raise error
    with h5py.File(writer.path) as file:
        assert file["rexec"].attrs["status"] == ("by hand" if is_closed else status)
        assert ("error" in file["rexec"]) == (error is not None and not is_closed)


@pytest.mark.parametrize("shown", [True, False])
def test_a_run_that_never_began_leaves_what_was_there(tmp_path: Path, shown: bool) -> None:
    if not shown:
        (tmp_path / "r.h5").write_text("of another run")
    writer: Any = ResultsWriter.create(
        tmp_path / "r.h5", IDENTITY, overwrite=True, refresh_interval=0, sync_interval=0
    )
    if shown:
        writer.path.unlink()  # somebody has been faster
    with writer:
        writer.discard()
    assert os.listdir(tmp_path) == ([] if shown else ["r.h5"])
    assert shown or (tmp_path / "r.h5").read_text() == "of another run"


@pytest.mark.parametrize("there", ["a file", "a folder"])
def test_what_is_there_is_not_replaced_unasked(tmp_path: Path, there: str) -> None:
    path = tmp_path / "r.h5"
    if there == "a file":
        path.write_text("of another run")
    else:
        path.mkdir()
    with pytest.raises(ResultsNotWritable, match="exists already" if there == "a file" else "it is a folder"):
        ResultsWriter.create(path, IDENTITY)
    assert os.listdir(tmp_path) == ["r.h5"]
    if there == "a folder":
        with pytest.raises(ResultsNotWritable, match="it is a folder"):
            ResultsWriter.create(path, IDENTITY, overwrite=True)


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_run_that_cannot_be_finished_gives_up_its_claim_on_what_is_kept(
    writer: Any, monkeypatch: pytest.MonkeyPatch, is_cut: bool
) -> None:
    def fail(*_: object) -> None:
        raise ResultsError("odd")

    writer.set("x", 1, {})
    if is_cut:
        os.ftruncate(writer._journal.claim, HEADER.size)
    else:
        monkeypatch.setattr(Refresher, "finish", fail)
    why, kept = (
        (
            r".*r\.h5\.journal was cut by another program: what was in it is lost",
            "What can still be read is in",
        )
        if is_cut
        else ("odd", "Everything is kept in")
    )
    with pytest.raises(
        ResultsError,
        match=rf"could not be finished: {why}\. {kept} .*r\.h5\.journal; `rexec results recover ",
    ):
        writer.close()
    assert writer._journal.claim == -1
    assert journal_path(writer.path).exists()


def test_a_state_that_a_full_disk_has_refused_is_in_the_file_all_the_same(
    writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Record) -> None:
        raise ResultsError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(writer._journal, "put", refuse)
        writer.add_degraded("no clock")
    with results.open(writer.close()) as run:
        assert run.degraded == ["no clock"]


def test_a_run_that_is_discarded_is_refreshed_no_more_when_its_file_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer: Any = ResultsWriter.create(tmp_path / "r.h5", IDENTITY, refresh_interval=1000, sync_interval=0)
    writer.snapshot()
    was_refreshed: list[bool] = []
    unlink = Path.unlink

    def noted(path: Path, missing_ok: bool = False) -> None:
        if path == writer.path:
            was_refreshed.append(writer._refresher._thread.is_alive())
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", noted)
    writer.discard()
    assert was_refreshed == [False]
    assert os.listdir(tmp_path) == []

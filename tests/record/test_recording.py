"""Recordings: the file survives being cut anywhere, and answers what was asked while it was made."""

import inspect
import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devicedb.drivers.methods import DriverFacts, Method
from rexec.record.method_list import facts_of_list
from rexec.record.recording import RecordingWriter, Replayer
from rexec.record.records import MAGIC, framed, read_records
from rexec.simulate import NotRecorded, RecordingError, laboratory, load_recording
from rexec.wire.packed_exceptions import pack_exception


def spec(*names: str, defaults: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {
        "args": ["self", *names], "varargs": None, "varkw": None, "defaults": defaults or None, "kwonlyargs": [],
        "kwonlydefaults": None, "annotations": {},
    }  # fmt: skip


METHODS = {"docstring": "A camera.", "methods": {
    "get_frame": (spec(), "A frame."),
    "set_exposure": (spec("seconds", "gain", defaults=(1,)), None),
}}  # fmt: skip


def call(name: str, *args: Any, ret: Any = None, **more: Any) -> dict[str, Any]:
    given = {"kwargs": {}, "seconds": 0.0, "began": 0.0, "connection": 1, "encoding": "raw", **more}
    record = {"kind": "call", "controller": "camera", "target": "camera", "name": name, "args": args, **given}
    return record if "exception" in more else {**record, "ret": ret}


def recording(path: Path, *calls: dict[str, Any], target: str = "camera") -> Path:
    writer = RecordingWriter(path)
    writer.write({"kind": "target", "controller": "camera", "target": target,
                  "methods": ["get_frame", "set_exposure", "undocumented"], "list": METHODS})  # fmt: skip
    for each in calls:
        writer.write(each)
    writer.close()
    return path


def test_what_is_written_is_read_arrays_included(tmp_path: Path) -> None:
    frame = np.random.default_rng(1).integers(0, 65535, (480, 640), np.uint16)
    path = recording(
        tmp_path / "a.rec", call("get_frame", ret=frame), call("set_exposure", 0.5, ret={"a": (1, None)})
    )
    read = load_recording(path)
    assert list(read.targets["camera"]["camera"].methods) == ["get_frame", "set_exposure", "undocumented"]
    first, second = read.calls["camera", "camera"]
    assert (first["ret"] == frame).all()
    assert second["ret"] == {"a": (1, None)}
    assert frame.nbytes < path.stat().st_size < frame.nbytes + 3000


def test_a_recording_that_is_cut_anywhere_is_good_up_to_its_last_whole_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = [{"kind": "call", "n": n, "ret": np.full(600, n)} for n in range(3)]
    data = MAGIC + b"".join(framed(each) for each in records)
    ends = [len(MAGIC + b"".join(framed(each) for each in records[:count])) for count in range(4)]
    for size in range(len(MAGIC), len(data) + 1, 7):
        caplog.clear()
        found = [each["n"] for each in read_records(data[:size], "a.rec")]
        assert found == [n for n in range(3) if ends[n + 1] <= size]
        assert ("left over" in caplog.text) == (size not in ends)


def test_a_flipped_byte_ends_the_recording_before_it(caplog: pytest.LogCaptureFixture) -> None:
    records = [{"kind": "call", "n": n} for n in range(3)]
    data = bytearray(MAGIC + b"".join(framed(each) for each in records))
    data[len(MAGIC) + len(framed(records[0])) + 20] ^= 1
    assert [each["n"] for each in read_records(bytes(data), "a.rec")] == [0]
    assert "left over" in caplog.text


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (None, "No such file"),
        (b"", "is no recording"),
        (b"{}\n", "is no recording"),
        (MAGIC, "has no controller"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, contents: bytes | None, words: str) -> None:
    path = tmp_path / "a.rec"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(RecordingError, match=words):
        load_recording(path)


def test_an_existing_recording_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.rec")
    with pytest.raises(RecordingError, match="--overwrite"):
        RecordingWriter(path)
    RecordingWriter(path, overwrite=True).close()
    with pytest.raises(RecordingError, match="cannot record into"):
        RecordingWriter(tmp_path / "nowhere" / "a.rec")


@pytest.mark.skipif(os.name != "nt", reason="names that Windows refuses")
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["s.rec:stream", "a.rec.", "con.rec"])
def test_a_name_that_windows_refuses_is_no_recording(tmp_path: Path, name: str, overwrite: bool) -> None:
    with pytest.raises(RecordingError, match=r"Windows has devices, .* name another"):
        RecordingWriter(tmp_path / name, overwrite=overwrite)
    assert not list(tmp_path.iterdir())


FACTS = facts_of_list(METHODS, frozenset(), "a.rec")


def test_the_same_call_gets_the_next_answer_and_then_the_last_one_again() -> None:
    player = Replayer(FACTS, [call("get_frame", ret=1), call("set_exposure", 2.0), call("get_frame", ret=2)])
    assert [player.answer("get_frame", (), {})[1] for _ in range(4)] == [1, 2, 2, 2]
    assert player.has("set_exposure")
    assert not player.has("undocumented")


def test_it_does_not_matter_how_arguments_are_given() -> None:
    player = Replayer(FACTS, [call("set_exposure", 2.0, ret="ok")])
    for args, kwargs in [
        ((2.0,), {}),
        ((), {"seconds": 2.0}),
        ((2.0, 1), {}),
        ((), {"gain": 1, "seconds": 2.0}),
    ]:
        assert player.answer("set_exposure", args, kwargs) == (True, "ok")
    assert player.answer("set_exposure", (2.5,), {}) == (False, None)
    assert player.answer("set_exposure", (2.0, 3), {}) == (False, None)
    assert player.answer("set_exposure", (object(),), {}) == (False, None)


def test_a_method_without_a_known_signature_is_matched_as_it_was_called() -> None:
    facts = DriverFacts(methods={"fire": Method("fire")})
    player = Replayer(facts, [call("fire", 1, kwargs={"b": 2, "a": {"y": 1, "x": 2}}, ret=3)])
    assert player.answer("fire", (1,), {"a": {"x": 2, "y": 1}, "b": 2}) == (True, 3)


def test_an_exception_is_raised_as_it_was() -> None:
    packed = pack_exception(ValueError("too long"))
    player = Replayer(FACTS, [call("set_exposure", 99.0, exception=packed)])
    with pytest.raises(ValueError, match="too long"):
        player.answer("set_exposure", (99.0,), {})


def test_answers_take_as_long_as_they_took_if_that_is_wanted() -> None:
    player = Replayer(FACTS, [call("get_frame", ret=1, seconds=0.1)], timing=True)
    began = time.monotonic()
    player.answer("get_frame", (), {})
    assert time.monotonic() - began >= 0.1


def test_a_replayed_controller_answers_its_recorded_calls_and_names_the_others(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.rec", call("get_frame", ret=5), call("set_exposure", 1.0))

    class camera:  # noqa: N801
        def undocumented(self) -> str:
            return "by a behaviour"

    database = {"camera": {"type": "controller", "host": "::1", "port": 3000, "target_name": "camera"}}
    with laboratory(database, {"camera": camera}, recordings=[path]) as lab:
        client = lab.get_device("camera")
        assert client.get_frame() == 5
        assert client.undocumented() == "by a behaviour"
        assert client.ping() is True
        assert client.get_rpc_method_list()["methods"]["get_frame"][1] == "A frame."
        with pytest.raises(Exception, match=r"NotRecorded: camera\.set_exposure\(2\.0\) was not recorded"):
            client.set_exposure(2.0)


def test_remote_code_runs_and_where_the_driver_has_no_answer_its_own_recorded_one_is_given(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rexec.simulate")
    path = recording(tmp_path / "a.rec", call("get_frame", ret=5))
    with path.open("ab") as file:
        listed = {"docstring": "", "methods": {"add_code": (spec("code"), ""), "call": (
            {**spec("function_name"), "varargs": "args", "varkw": "kwargs"}, "")}}  # fmt: skip
        file.write(framed({"kind": "target", "controller": "camera", "target": "camera_rexec",
                           "methods": ["add_code", "call"], "list": listed}))  # fmt: skip
        file.write(framed({**call("call", "expose", 3, ret="recorded"), "target": "camera_rexec"}))
    database = {
        "camera": {"type": "controller", "host": "::1", "port": 3000, "target_name": "camera"},
        "rexec": {"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec"},
    }
    with laboratory(database, recordings=[path]) as lab:
        remote = lab.get_device("rexec")
        remote.add_code(
            "def frame(): return controller_driver.get_frame() + 1\n"
            "def expose(s): return controller_driver.set_exposure(s)\n"
        )
        assert remote.call("frame") == 6
        assert remote.call("expose", 3) == "recorded"
        assert "answered from the recording" in caplog.text
        with pytest.raises(Exception, match="NotRecorded"):
            remote.call("expose", 4)


def test_a_method_list_that_makes_no_sense_still_gives_names() -> None:
    found = facts_of_list(
        {"methods": {"f": ({"args": 3}, None)}}, frozenset({"f", "g", "_h", "terminate"}), "a"
    )
    assert sorted(found.methods) == ["f", "g"]
    assert found.methods["f"].signature == inspect.signature(lambda *args, **kwargs: None)


def test_not_recorded_is_a_lookup_error() -> None:
    assert issubclass(NotRecorded, LookupError)

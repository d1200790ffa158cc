"""What a publisher keeps for a subscriber that falls behind, and how modifications are made and applied."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from rexec.wire import _publisher, _snapshots
from rexec.wire._line_queue import WHOLE, LineQueue
from rexec.wire._notifier import Notifier, process_mod, update_from_dict
from rexec.wire._publisher import Publisher


class Behind:
    """A subscriber, as far as a publisher fills its queue."""

    def __init__(self) -> None:
        self.name, self.peer = "n", "lab:1"
        self.lines = LineQueue()
        self.dropped = 0
        self.stale: dict[Any, None] = {}
        self.awaits_snapshot = False
        self.failure: Exception | None = None

    def put(self, line: bytes, part: Any = WHOLE) -> None:
        self.lines.put(line, part)

    def drop(self, part: Any = WHOLE) -> None:
        self.dropped += self.lines.clear() if part is WHOLE else self.lines.drop(part)

    def put_first(self, lines: list[bytes], part: Any) -> None:
        for line in lines:
            self.put(line, part)

    def fail(self, error: Exception) -> None:
        self.failure = error


def test_what_changes_too_fast_is_sent_anew_later(caplog: pytest.LogCaptureFixture) -> None:
    publisher = Publisher({"n": Notifier({"a": 1, "b": 2})}, backlog=300)
    one = Behind()
    late: Any = one
    for line, part in ((b"a1\n", "a"), (b"b1\n", "b")):
        publisher.enqueue(late, line, part)
    assert (len(one.lines), one.dropped, one.stale) == (2, 0, {})
    publisher.enqueue(late, b"x" * 94, "b")  # exactly the backlog
    assert (len(one.lines), one.stale) == (3, {})
    publisher.enqueue(late, b"a2\n", "a")
    assert (one.stale, one.dropped, len(one.lines)) == ({"a": None}, 2, 2)
    publisher.enqueue(late, b"a3\n", "a")
    assert (one.dropped, len(one.lines)) == (3, 2)
    assert [each.levelno for each in caplog.records] == [logging.WARNING]
    publisher.enqueue(late, b"y" * 1000, "b")
    assert (set(one.stale), one.dropped, len(one.lines)) == ({"a", "b"}, 6, 0)
    assert len(caplog.records) == 1
    publisher.enqueue(late, b"z" * 5000, "c")  # one line is taken, whatever its size
    assert (len(one.lines), set(one.stale)) == (1, {"a", "b"})
    one.stale = {WHOLE: None}
    publisher.enqueue(late, b"d\n", "d")
    assert (one.dropped, len(one.lines)) == (7, 1)


def test_more_stale_keys_than_there_are_make_the_whole_stale() -> None:
    publisher = Publisher({"n": Notifier({"a": 1, "b": 2})}, backlog=0)
    one = Behind()
    for number in range(_publisher._MORE_STALE + 2):
        one.put(b"first\n", "first")
        publisher.enqueue(cast("Any", one), b"x\n", number)
    assert len(one.stale) == _publisher._MORE_STALE + 2
    assert len(one.lines) > 0
    publisher.enqueue(cast("Any", one), b"x\n", "one more")
    assert (one.stale, len(one.lines)) == ({WHOLE: None}, 0)


def test_a_subscriber_that_fell_behind_is_brought_up_to_date_key_by_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_snapshots, "_TURN", float("inf"))

    async def main() -> None:
        struct: dict[str, Any] = {"a": 1, "b": 2}
        publisher = Publisher({"n": Notifier(struct)})
        soon: list[Any] = []
        one: Any = Behind()
        one.loop = SimpleNamespace(call_soon=lambda *call: soon.append(call))
        publisher.refill(one)
        assert not one.awaits_snapshot
        one.stale = {"b": None, "a": None}
        one.awaits_snapshot = True
        publisher.refill(one)
        assert len(one.lines) == 0
        one.awaits_snapshot = False
        publisher.refill(one)
        assert (one.stale, one.awaits_snapshot) == ({"a": None}, False)
        line = bytes(one.lines.take())
        assert b'"key": "b"' in line or b'"key":"b"' in line
        flushed: list[str] = []
        give = publisher._snapshots.give

        def given(*what: Any) -> None:
            assert flushed == ["n"]  # the value has what was sent before
            give(*what)

        vars(publisher)["flush"] = flushed.append
        vars(publisher._snapshots)["give"] = given
        one.stale = {"gone": None, "a": None}
        publisher.refill(one)  # of what is gone nothing can be told: all is sent
        assert one.stale == {}
        assert b'"init"' in bytes(one.lines.take())
        assert flushed == ["n", "n"]
        assert not soon

    asyncio.run(main())


@pytest.mark.parametrize(
    ("meanwhile", "lines", "fails", "again", "put", "stale"),
    [
        ("nothing", [b"a=1\n"], False, 0, 1, {"b"}),
        ("nothing", None, True, 0, 0, {"a", "b"}),
        ("gone", None, False, 1, 0, {"a", "b"}),
        ("whole", [b"a=1\n"], False, 1, 0, {WHOLE}),
        ("ended", [b"a=1\n"], False, 0, 0, {"a", "b"}),
    ],
)
def test_a_value_that_is_sent_anew_may_come_too_late(
    meanwhile: str, lines: Any, fails: bool, again: int, put: int, stale: set[Any]
) -> None:
    struct: dict[str, Any] = {"a": 1, "b": 2}
    publisher = Publisher({"n": Notifier(struct)})
    given: list[Any] = []
    vars(publisher._snapshots)["give"] = lambda *what: given.append(what)
    soon: list[Any] = []
    one: Any = Behind()
    one.loop = SimpleNamespace(call_soon=lambda *call: soon.append(call))
    one.stale = {"a": None, "b": None}
    publisher.refill(one)
    ((name, key, ready),) = given
    assert (name, key, one.awaits_snapshot) == ("n", "a", True)
    if meanwhile == "gone":
        del struct["a"]
    elif meanwhile == "whole":
        one.stale = {WHOLE: None}
    elif meanwhile == "ended":
        one.failure = ended = EOFError()
    ready(lines)
    assert (one.failure is not None) == (fails or meanwhile == "ended")
    assert meanwhile != "ended" or one.failure is ended
    assert one.awaits_snapshot is (meanwhile == "ended")
    assert soon == [(publisher.refill, one)] * again
    assert (len(one.lines), set(one.stale)) == (put, stale)


def test_a_modification_that_a_program_makes_itself_goes_to_the_followers_of_its_notifier() -> None:
    first, second = Notifier({}), Notifier({})
    publisher = Publisher({"first": first, "second": second, "alias": first})
    published: list[Any] = []
    vars(publisher)["_publish"] = lambda *what: published.append(what)
    publisher.publish(first, mod := cast("Any", {"action": "setitem", "path": [], "key": "a", "value": 1}))
    assert published == [("first", mod), ("alias", mod)]


def test_a_snapshot_is_kept_only_as_long_as_the_structure_is_as_it_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_snapshots, "_TURN", float("inf"))

    async def main() -> None:
        notifier = Notifier({"a": "x" * (1 << 17)})
        publisher = Publisher({"n": notifier})
        given: list[Any] = []

        def told() -> bytes:
            publisher._snapshots.give("n", WHOLE, given.append)
            return b"".join(map(bytes, given[-1]))

        assert told() == told()
        assert given[0][0] is given[1][0]  # it was kept
        notifier["b"] = 1  # while nobody follows
        assert b'"b"' in told()
        vars(publisher)["subscriptions"] = lambda _: [object()]
        with pytest.raises(TypeError):
            notifier["c"] = object()  # which cannot be told to those who follow
        notifier.raw_view["c"] = 2
        assert b'"c"' in told()

    asyncio.run(main())


def test_a_snapshot_that_an_ended_loop_has_begun_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_snapshots, "_TURN", -1.0)
    publisher = Publisher({"n": Notifier({str(number): [number] * 600 for number in range(9)})})
    given: list[Any] = []

    def never(_: Any) -> None:
        pytest.fail("it was given in another loop")

    async def ends_early() -> None:
        publisher._snapshots.give("n", WHOLE, never)

    async def anew() -> None:
        publisher._snapshots.give("n", WHOLE, given.append)
        for _ in range(99):
            await asyncio.sleep(0)

    asyncio.run(ends_early())
    assert publisher._snapshots.is_awaited("n")
    publisher.forget_loop()
    asyncio.run(anew())
    assert len(given) == 1


def test_a_modification_is_about_a_key_where_that_can_be_set_anew() -> None:
    publisher = Publisher({"n": Notifier({"a": [1]}), "l": Notifier([1])})
    for name, mod, part in (
        ("n", {"action": "setitem", "path": [], "key": "a"}, "a"),
        ("n", {"action": "delitem", "path": [], "key": "a"}, "a"),
        ("n", {"action": "pop", "path": [], "i": "a"}, "a"),
        ("n", {"action": "append", "path": ["a"], "x": 1}, "a"),
        ("n", {"action": "setitem", "path": [["a"]], "key": "b"}, WHOLE),
        ("l", {"action": "append", "path": [], "x": 1}, WHOLE),
    ):
        assert publisher._part(name, mod) == part


def test_modifications_are_published_and_applied_alike() -> None:
    mods: list[Any] = []
    one = Notifier({"a": [1], "d": {"x": {}}})
    one["a"].append(0)  # nobody follows yet
    one.publish = mods.append
    one["a"].append(2)
    one["a"].insert(0, 3)
    assert one["a"].pop() == 2
    assert one["a"].pop(0) == 3
    one["d"]["x"]["y"] = 4
    one["b"] = 5
    del one["b"]
    assert one.pop("d") == {"x": {"y": 4}}
    assert one.raw_view == {"a": [1, 0]}
    assert one["a"].root is one
    copy: dict[str, Any] = {"a": [1, 0], "d": {"x": {}}}
    seen = []
    for mod in mods:
        process_mod(copy, mod)
        seen.append((mod["action"], mod["path"]))
    assert copy == one.raw_view
    assert seen == [
        ("append", ["a"]), ("insert", ["a"]), ("pop", ["a"]), ("pop", ["a"]), ("setitem", ["d", "x"]),
        ("setitem", []), ("delitem", []), ("pop", []),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="init is no modification of a part"):
        process_mod(copy, {"action": "init", "path": []})
    with pytest.raises(ValueError, match="fly"):
        process_mod(copy, {"action": "fly", "path": []})
    with pytest.raises(LookupError):
        process_mod(copy, {"action": "append", "path": ["none"], "x": 1})


def test_only_what_differs_is_published() -> None:
    mods: list[Any] = []
    kept, array = [1], np.arange(3)
    one = Notifier({"same": 1, "type": 1, "gone": 2, "kept": kept, "array": array, "other": np.arange(3)})
    one.publish = mods.append
    update_from_dict(
        one, {"same": 1, "type": 1.0, "kept": kept, "array": array, "other": np.arange(3), "new": 3}
    )
    assert [(mod["action"], mod["key"]) for mod in mods] == [
        ("delitem", "gone"), ("setitem", "type"), ("setitem", "other"), ("setitem", "new")
    ]  # fmt: skip
    assert [*one.raw_view] == ["same", "type", "kept", "array", "other", "new"]

"""Followers of any speed: each has the structure at every quiet moment, and none costs the others anything."""

import asyncio
import itertools
import random
import socket
from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rexec.wire import _pyon_parts, _snapshots, _stream_server, _subscription, pyon, pyon_v1
from rexec.wire._line_queue import WHOLE, LineQueue
from rexec.wire.broadcast import Broadcaster, Receiver
from rexec.wire.sync_struct import Notifier, Publisher, Subscriber, process_mod
from tests.performance.test_growth import calls
from tests.wire.test_streams import LOCAL, until

_markers = itertools.count()
PARTS = (WHOLE, "a", "b", 1)


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "put", "put", "take", "drop", "clear"]), st.sampled_from(PARTS))
    )
)
@settings(max_examples=50)
def test_a_queue_is_a_list_from_which_parts_are_dropped(steps: list[tuple[str, Any]]) -> None:
    queue = LineQueue()
    model: list[tuple[Any, bytes]] = []
    for number, (step, part) in enumerate(steps):
        if step == "put":
            queue.put(b"%d" % number, part)
            model.append((part, b"%d" % number))
        elif step == "take" and model:
            assert queue.take() == model.pop(0)[1]
        elif step == "drop":
            kept = [each for each in model if each[0] != part]
            assert queue.drop(part) == len(model) - len(kept)
            model = kept
        elif step == "clear":
            assert queue.clear() == len(model)
            model = []
        assert len(queue) == len(model)
        assert queue.size == sum(len(line) + 100 for _, line in model)
        queue._tidy()
    assert [queue.take() for _ in range(len(queue))] == [line for _, line in model]


def test_dropped_lines_leave_nothing_behind() -> None:
    queue = LineQueue()
    for number in range(5000):
        queue.put(b"x", number % 7)
        queue.put(b"x", number % 7)
        queue.drop(number % 7)
    assert (len(queue), queue.size) == (0, 0)
    assert len(queue._order) < 2000


def change(notifier: Notifier, rng: random.Random) -> None:
    key = rng.choice("abcdefgh")
    struct = notifier.raw_view
    if key not in struct or rng.random() < 0.2:
        notifier[key] = rng.choice([[], rng.randrange(100), ["x" * 3000] * rng.randrange(30)])
    elif rng.random() < 0.05:
        del notifier[key]
    elif isinstance(struct[key], list):
        part = notifier[key]
        if struct[key] and rng.random() < 0.3:
            part.pop(rng.randrange(len(struct[key])))
        else:
            part.insert(0, rng.random()) if rng.random() < 0.3 else part.append("y" * rng.randrange(3000))


async def settled(publisher: Publisher, followers: list[Subscriber]) -> None:
    """Wait until everything has been sent, and has arrived."""
    publisher.flush("x")
    await until(
        lambda: not any(each.lines or each.stale or each._rest for each in publisher.subscriptions("x"))
    )
    marker = next(_markers)
    publisher.notifiers["x"]["end"] = marker
    await until(lambda: all(each._target and each._target.get("end") == marker for each in followers))


@pytest.mark.parametrize("seed", range(2))
def test_followers_that_stop_reading_have_the_structure_at_every_quiet_moment(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_subscription, "PIECE", 5000)
    monkeypatch.setattr(_stream_server, "PIECE", 5000)
    monkeypatch.setattr(_subscription, "_TURN", 20_000)

    async def main() -> None:
        rng = random.Random(seed)
        notifier = Notifier({})
        publisher = Publisher({"x": notifier}, backlog=100_000)
        await publisher.start(LOCAL, 0)
        followers: list[Subscriber] = []
        dropped = 0
        for _ in range(5):
            for _ in range(rng.randrange(3)):
                followers.append(Subscriber("x", lambda struct: struct))
                await followers[-1].connect(LOCAL, publisher.port)
            for _ in range(300):
                change(notifier, rng)
                if rng.random() < 0.1:
                    await asyncio.sleep(0)
                subscriptions = publisher.subscriptions("x")
                if subscriptions and rng.random() < 0.1:
                    one = rng.choice(subscriptions)
                    rng.choice([one.pause_writing, one.pause_writing, one.resume_writing])()
            for one in publisher.subscriptions("x"):
                one.resume_writing()
            await settled(publisher, followers)
            assert all(follower._target == notifier.raw_view for follower in followers)
            dropped += sum(each["dropped"] for each in publisher.status())
        assert dropped
        for follower in followers:
            await follower.close()
        await publisher.stop()

    asyncio.run(main())


def test_a_set_costs_the_same_whatever_waits_for_a_follower_that_does_not_read() -> None:
    async def cost(names: int) -> int:
        notifier = Notifier({})
        publisher = Publisher({"x": notifier}, backlog=names * 1000)
        await publisher.start(LOCAL, 0)
        with socket.create_connection((LOCAL, publisher.port), 150) as slow:
            slow.sendall(b"ARTIQ sync_struct\nx\n")
            await until(lambda: publisher.subscriptions("x"))
            (subscription,) = publisher.subscriptions("x")
            subscription.pause_writing()

            def sets() -> None:
                for number in range(4 * names):
                    notifier[f"name{number % names}"] = "x" * 800
                publisher.flush("x")

            count = calls(sets)
            assert subscription.dropped > names
            assert subscription.lines.size <= publisher.backlog + 1000
        await publisher.stop()
        return count

    asyncio.run(cost(10))
    small, large = asyncio.run(cost(50)), asyncio.run(cost(200))
    assert large < 6 * small


def test_lines_of_one_turn_go_to_all_followers_together() -> None:
    async def cost(followers: int, messages: int) -> int:
        broadcaster = Broadcaster()
        await broadcaster.start(LOCAL, 0)
        heard: deque[Any] = deque()
        receivers = [Receiver("x", heard.append) for _ in range(followers)]
        for receiver in receivers:
            await receiver.connect(LOCAL, broadcaster.port)
        await until(lambda: len(broadcaster.subscriptions("x")) == followers)

        def send() -> None:
            for number in range(messages):
                broadcaster.broadcast("x", number)
            broadcaster.flush("x")

        count = calls(send)
        await until(lambda: len(heard) == followers * messages)
        for receiver in receivers:
            await receiver.close()
        await broadcaster.stop()
        return count

    asyncio.run(cost(1, 10))
    one, many = asyncio.run(cost(1, 200)), asyncio.run(cost(8, 200))
    assert many < 1.5 * one


def test_lines_that_follow_each_other_are_sent_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        notifier = Notifier({"list": []})
        publisher = Publisher({"x": notifier})
        await publisher.start(LOCAL, 0)
        follower = Subscriber("x", lambda struct: struct)
        await follower.connect(LOCAL, publisher.port)
        await until(lambda: publisher.subscriptions("x"))
        (subscription,) = publisher.subscriptions("x")
        batches: list[bytes] = []
        write_now = subscription.write_now

        def counted(lines: bytes) -> bool:
            batches.append(lines)
            return write_now(lines)

        monkeypatch.setattr(subscription, "write_now", counted)
        notifier["list"].append("first")
        await asyncio.sleep(0)
        assert len(batches) == 1  # after a pause there is no wait
        for number in range(200):
            notifier["list"].append(number)
            await asyncio.sleep(0)
        await until(lambda: follower._target == notifier.raw_view)
        for number in range(10):
            notifier["list"].append(number)
        await publisher.stop()  # what was published before is sent
        await until(lambda: follower._target == notifier.raw_view)
        await follower.close()
        return len(batches)

    monkeypatch.setattr(_stream_server, "_GATHER", 0.3)
    assert asyncio.run(main()) < 100


def test_new_followers_of_a_large_structure_share_what_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        _snapshots, "_KEEP", 150.0
    )  # on a busy machine the followers come one after the other

    async def main() -> None:
        notifier = Notifier({"list": list(range(50_000))})
        publisher = Publisher({"x": notifier})
        await publisher.start(LOCAL, 0)
        encoded: list[str] = []
        begin = _snapshots._Snapshot.begin

        def counted(snapshot: _snapshots._Snapshot) -> None:
            encoded.append("x")
            begin(snapshot)

        monkeypatch.setattr(_snapshots._Snapshot, "begin", counted)
        followers = []
        for number in range(8):
            follower = Subscriber("x", lambda struct: struct)
            await follower.connect(LOCAL, publisher.port)
            followers.append(follower)
            await until(lambda: len(publisher.subscriptions("x")) == len(followers))
            notifier["list"].append(number)
        await settled(publisher, followers)
        assert all(follower._target == notifier.raw_view for follower in followers)
        assert len(encoded) == 1
        notifier["list"].append(number)
        with pytest.raises(TypeError):
            notifier["bad"] = object()
        del notifier["bad"]
        late = Subscriber("x", lambda struct: struct)
        await late.connect(LOCAL, publisher.port)
        await settled(publisher, [late])
        assert late._target == notifier.raw_view
        assert len(encoded) == 2  # what could not be told made the snapshot useless
        for follower in (late, *followers):
            await follower.close()
        await publisher.stop()

    asyncio.run(main())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(np.arange(30.0)),
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.dictionaries(st.integers() | st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=60,
)


@given(values, st.sampled_from([(pyon, _pyon_parts.V2), (pyon_v1, _pyon_parts.V1)]))
@settings(max_examples=100)
def test_parts_are_the_text(value: Any, version: tuple[Any, _pyon_parts.Syntax]) -> None:
    codec, syntax = version
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pyon_parts, "PART", 3)
        patch.setattr(_pyon_parts, "_MOST", 6)
        text = b"".join(_pyon_parts.parts(value, syntax, set()))
    # Of a number there may be two texts: 1e-9 and 1e-09.
    assert codec.encode(codec.decode(text)) == codec.encode(codec.decode(codec.encode(value)))


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_a_structure_that_changes_while_it_is_encoded_is_what_followers_have(
    seed: int, v1: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pyon_parts, "PART", 3)
    monkeypatch.setattr(_pyon_parts, "_MOST", 6)
    monkeypatch.setattr(_snapshots, "_TURN", 0.0)  # one part a turn of the loop
    monkeypatch.setattr(_snapshots, "_LARGE", 50)
    turns: list[int] = []

    async def main() -> None:
        rng = random.Random(seed)
        notifier = Notifier({key: [["y", [float(n)] * 8] for n in range(9)] for key in "abcdefgh"})
        publisher = Publisher({"x": notifier}, backlog=3000, pyon_v1=v1)
        await publisher.start(LOCAL, 0)
        followers: list[Subscriber] = []
        for _ in range(6):
            followers.append(Subscriber("x", lambda struct: struct))
            await followers[-1].connect(LOCAL, publisher.port)
            while len(publisher.subscriptions("x")) < len(followers):
                turns.append(len(followers))
                if rng.random() < 0.5:
                    change(notifier, rng)
                for key in rng.choices("abcdefgh", k=3):
                    if isinstance(notifier.raw_view.get(key), list):
                        notifier[key].append(rng.random())
                await asyncio.sleep(0)
            await settled(publisher, followers)
            assert all(follower._target == notifier.raw_view for follower in followers)
        for follower in followers:
            await follower.close()
        await publisher.stop()

    asyncio.run(main())
    assert len(turns) > 100


CHANGES = {
    "append": {"action": "append", "path": ["b"], "x": 1},
    "append inside": {"action": "append", "path": ["b", 5, "list"], "x": 1},
    "insert": {"action": "insert", "path": ["b"], "i": 0, "x": 1},
    "pop": {"action": "pop", "path": ["b"], "i": 0},
    "item": {"action": "setitem", "path": ["b"], "key": 2, "value": 1},
    "set": {"action": "setitem", "path": [], "key": "b", "value": [1] * 9},
    "new": {"action": "setitem", "path": [], "key": "e", "value": [1] * 9},
    "delete": {"action": "delitem", "path": [], "key": "b"},
}


def finished(snapshot: _snapshots._Snapshot) -> list[Any]:
    while not snapshot.is_done:
        snapshot.go_on()
    return snapshot.lines()


@pytest.mark.parametrize("syntax", [_pyon_parts.V2, _pyon_parts.V1])
@pytest.mark.parametrize("times", [1, 2, 6])
@pytest.mark.parametrize("mod", CHANGES.values(), ids=CHANGES)
def test_a_snapshot_and_its_changes_are_the_structure_whenever_it_changes(
    mod: dict[str, Any], times: int, syntax: _pyon_parts.Syntax, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pyon_parts, "PART", 3)
    monkeypatch.setattr(_pyon_parts, "_MOST", 6)
    monkeypatch.setattr(_snapshots, "_TURN", 0.0)
    decode = pyon.decode if syntax is _pyon_parts.V2 else pyon_v1.decode
    for moment in itertools.count():
        struct: dict[str, Any] = {
            "a": 1, "b": [{"list": [0.5] * 9, "n": n} for n in range(7)], "c": [1] * 9, "d": 2
        }  # fmt: skip
        snapshot = _snapshots._Snapshot(struct, WHOLE, syntax)
        for _ in range(moment):
            snapshot.go_on()
        if snapshot.is_done:
            break
        used = True
        for number in range(times):
            if mod["action"] != "delitem" or not number:
                process_mod(struct, mod)
                line = syntax.text(mod) + b"\n"
                used = used and snapshot.changed("e" if mod.get("key") == "e" else "b", mod, line)
                snapshot.go_on()
        first, *since = finished(snapshot)
        result = decode(bytes(first))["struct"]
        for line in since:
            process_mod(result, decode(bytes(line)))
        # Once there are more changes than text, they are not kept.
        assert result == struct or not used, moment
    assert moment > 30


def test_no_part_of_a_snapshot_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    longest: list[int] = []

    def encode(value: Any) -> str:
        longest.append(_pyon_parts.elements(value, 1 << 30))
        return pyon.encode(value)

    struct = {
        "list": list(range(50_000)), "rows": [[0.5] * 300] * 300, "names": {f"n{n}": [n] for n in range(20_000)},
        "deep": (False, [[[1, 2]] * 5000, {"a": ["x"] * 9000}], {}), "texts": ["x" * 8000] * 30,
        "array": np.zeros(1 << 18),
    }  # fmt: skip
    syntax = _pyon_parts.V2._replace(encode=encode)
    ends: list[int] = []
    text = b""
    for part in _pyon_parts.parts(struct, syntax, set()):
        ends.append(len(part))
        text += part
    assert text.decode() == pyon.encode(struct)
    assert max(longest) <= _pyon_parts._MOST
    assert sum(longest) < 2 * _pyon_parts.elements(struct, 1 << 30)
    assert max(ends) < 1 << 19


def test_a_follower_that_is_too_slow_for_a_large_list_gets_it_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_snapshots, "_TURN", 0.0)

    async def main() -> None:
        notifier = Notifier({"list": [0.5] * 30_000, "n": 0})
        publisher = Publisher({"x": notifier}, backlog=10_000)
        await publisher.start(LOCAL, 0)
        follower = Subscriber("x", lambda struct: struct)
        await follower.connect(LOCAL, publisher.port)
        await settled(publisher, [follower])
        (subscription,) = publisher.subscriptions("x")
        subscription.pause_writing()
        for number in range(1000):
            notifier["list"].append(number)
        notifier["n"] = 1
        publisher.flush("x")
        assert subscription.stale
        subscription.resume_writing()
        assert subscription.awaits_snapshot
        notifier["list"].append("during")
        await settled(publisher, [follower])
        assert follower._target == notifier.raw_view
        await follower.close()
        await publisher.stop()

    asyncio.run(main())


def test_each_line_that_a_slow_follower_does_not_get_is_counted() -> None:
    async def main() -> None:
        notifier = Notifier({"fast": 0, "slow": 0})
        publisher = Publisher({"x": notifier}, backlog=1000)
        await publisher.start(LOCAL, 0)
        follower = Subscriber("x", lambda struct: struct)
        await follower.connect(LOCAL, publisher.port)
        await settled(publisher, [follower])
        (subscription,) = publisher.subscriptions("x")
        assert subscription.dropped == 0
        subscription.pause_writing()
        for number in range(1, 101):
            notifier["fast"] = number
            publisher.flush("x")
        notifier["slow"] = 1
        publisher.flush("x")
        assert subscription.stale == {"fast": None}
        assert subscription.dropped + len(subscription.lines) == 101
        subscription.resume_writing()
        await settled(publisher, [follower])
        assert follower._target == notifier.raw_view
        await follower.close()
        await publisher.stop()

    asyncio.run(main())


def test_the_elements_of_a_value_are_counted_whatever_they_are_in() -> None:
    for value, number in (
        (1, 1), ([], 1), ([1, 2], 3), ((1, 2.5), 3), ({"a": 1}, 2), ([[1], [2, 3]], 6), (([1],), 3),
        ({"a": [1, (2,)]}, 5), ("x" * 16, 3), (b"x" * 7, 1), (["x" * 16], 4), (np.zeros(4), 5),
        ([np.zeros(4)], 6), ({1, 2}, 1), ([{1, 2}], 2),
    ):  # fmt: skip
        assert _pyon_parts.elements(value, 1 << 30) == number, value
        assert _pyon_parts.elements(value, number) == number, value
    assert _pyon_parts.elements([[1] * 9] * 1000, 50) <= 1 + 1000 + 9 * 50
    assert _pyon_parts.elements([[1] * 9] * 10, 11) > 11

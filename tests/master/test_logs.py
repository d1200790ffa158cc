"""The logging port against clumsy and hostile senders: bounded in bytes and time, what was dropped is counted."""

import logging
import socket
from pathlib import Path

import pytest

from rexec.master.log_rates import BURST, OTHERS, RATE, SENDERS, LogBudgets
from rexec.master.logs import LINE_LIMIT, _RecordReader
from rexec.wire.logs import RECORD_LIMIT, LogLine
from rexec.wire.pc_rpc import Client
from tests.clock import set_clock
from tests.master.masters import LOCAL, serving
from tests.waiting import within


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    set_clock(monkeypatch, "rexec.master.log_rates", monotonic=lambda: now[0])
    return now


def test_a_sender_has_a_burst_then_a_rate_and_its_drops_are_counted(clock: list[float]) -> None:
    budgets = LogBudgets()
    taken = sum(budgets.takes("lamp", 50) for _ in range(14_000))
    assert taken == BURST
    assert budgets.takes("camera", 50)
    assert dict(budgets.news()) == budgets.dropped == {"lamp": 14_000 - BURST}
    assert not dict(budgets.news())
    clock[0] += 1.0
    assert sum(budgets.takes("lamp", 50) for _ in range(1000)) == RATE
    clock[0] += 1.0
    assert budgets.takes("lamp", int(RATE) << 10)  # bytes count, too
    assert not budgets.takes("lamp", 50)


def test_invented_senders_share_one_budget(clock: list[float]) -> None:
    budgets = LogBudgets()
    taken = sum(budgets.takes(f"x{number}", 50) for number in range(10_000))
    assert taken == SENDERS + BURST
    assert budgets.dropped == {OTHERS: 10_000 - taken}
    clock[0] += 60.0
    assert budgets.takes("lamp", 50)
    assert len(budgets._left) <= SENDERS + 1


def test_a_record_is_bounded_in_bytes() -> None:
    reader = _RecordReader()
    assert reader.feed(b"x:INFO<9999>:a:b") is None
    for _ in range(9997):
        assert reader.feed(b"y" * LINE_LIMIT) is None
    assert len("".join(reader._lines._lines)) <= RECORD_LIMIT  # type: ignore[union-attr]
    found = reader.feed(b"end")
    assert found is not None
    assert found[1].text.endswith("more characters were dropped")
    assert len(found[1].text) < RECORD_LIMIT + 100
    assert reader.feed(b"x:INFO:a:b") == ("x", LogLine(logging.INFO, "a", "b"), 11)


@pytest.mark.parametrize("line", [b"x:INFO<99999>:a:b", b"nonsense", b"", b"\xff\xfe", b"x:LOUD:a:b"])
def test_what_is_no_record_ends_the_connection(line: bytes) -> None:
    with pytest.raises(ValueError, match="is not a log message"):
        _RecordReader().feed(line)


def test_a_flood_is_dropped_and_counted_while_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rexec.master.log_rates.RATE", 0.0)
    monkeypatch.setattr("rexec.master.log_rates.BURST", 50.0)
    sent = 2000
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.name)  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with serving(tmp_path) as served, served.client("dataset_db") as client:
            with socket.create_connection((LOCAL, served.port("logging"))) as flood:
                flood.sendall(b"ARTIQ logging\n" + b"controller(loud):ERROR:loud:help\n" * sent)
                with socket.create_connection((LOCAL, served.port("logging"))) as calm:
                    calm.sendall(b"ARTIQ logging\ncontroller(calm):ERROR:calm:hello\n")
                    client.set("x", 1)
                    assert within(150.0, lambda: "calm" in seen)
                    assert client.get("x") == 1

                def lost() -> int:
                    with Client(LOCAL, served.port("control"), "master_management") as master:
                        return int(master.status()["dropped_logs"].get("controller(loud) at 127.0.0.1", 0))

                assert within(150.0, lambda: lost() + seen.count("loud") == sent)
                assert seen.count("loud") == 50
    finally:
        root.removeHandler(handler)

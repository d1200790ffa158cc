"""One connection of a client, against a peer that does exactly what the test says."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from rexec.wire import connection as wire_connection
from rexec.wire._framing import Frame, FrameReader
from rexec.wire._handshake import Choice, ServerHandshake
from rexec.wire._protocol import PYON_V2
from rexec.wire.connection import Connection
from rexec.wire.errors import CallTimeout, ConnectionBroken, ConnectionFailed
from rexec.wire.reach import reach
from tests.waiting import within


class Peer:
    """The other end of a socket pair, which has shaken hands as a server with the target `drv`."""

    def __init__(self, target: str | None = "drv") -> None:
        ours, self.sock = socket.socketpair()
        ours.settimeout(150)
        self.sock.settimeout(150)
        self.lines = self.sock.makefile("rb")
        self.connection = Connection(ours, "there:1", target, (PYON_V2,))
        self.more = b""
        self.steps = 1 if target is None else 2

    def shake_hands(self) -> None:
        """Answer the steps of the handshake, with `more` behind the last answer."""
        server = ServerHandshake(FrameReader(), ["drv"])
        for _ in range(self.steps):
            said = server.take(Frame(self.lines.readline().removesuffix(b"\n")))
            if isinstance(said, Choice):
                self.sock.sendall(b"".join(map(bytes, said.codec.encode({"ping"}))) + self.more)
                return
            self.sock.sendall(said)

    def close(self) -> None:
        self.connection.close()
        self.lines.close()
        self.sock.close()


@pytest.fixture
def strange() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def peer(strange: Peer) -> Peer:
    with_thread(strange.shake_hands, lambda: strange.connection.shake_hands(150.0))
    assert strange.connection.clean
    assert strange.connection.talk.methods == {"ping"}
    return strange


def with_thread(other: Callable[[], object], act: Callable[[], Any]) -> Any:
    """Return what `act` returns while a thread does something else; that ends what `act` fails at."""
    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    result = act()
    thread.join(150)
    return result


def request(connection: Connection, *args: Any) -> Any:
    return connection.talk.encode_call("ping", args, {})


def called(connection: Connection, silence: float | None, left: float | None) -> Any:
    """Return the answer to a call with these limits."""
    deadline = None if left is None else time.monotonic() + left
    return connection.call(request(connection), silence, deadline)


@pytest.mark.parametrize(
    ("silence", "left", "said"),
    [
        (0.05, None, "in 0.05 s"),
        (None, 0.05, "in time"),
        (0.05, 150.0, "in 0.05 s"),
        (150.0, 0.05, "in time"),
    ],
)
def test_a_peer_that_is_silent_is_given_up_and_the_limit_is_told(
    peer: Peer, silence: float | None, left: float | None, said: str
) -> None:
    with pytest.raises(CallTimeout) as caught:
        called(peer.connection, silence, left)
    assert str(caught.value) == f"there:1, target 'drv' did not answer {said}"
    assert not peer.connection.clean


@pytest.mark.parametrize("pieces", [1, 3, 2000])
def test_a_request_that_nobody_reads_ends_at_its_deadline(peer: Peer, pieces: int) -> None:
    # More than any buffer of the system takes.
    parts = [b"x" * (2**25 // pieces)] * pieces
    with pytest.raises(CallTimeout, match="in time"):
        peer.connection.call(parts, None, time.monotonic() + 0.2)
    assert not peer.connection.clean


@pytest.mark.parametrize("pieces", [1, 2, 5, 2000])
def test_a_request_arrives_whole_whatever_the_system_takes_at_once(peer: Peer, pieces: int) -> None:
    parts = [bytes([65 + number % 26]) * (2**23 // pieces) for number in range(pieces)] + [b"\n"]
    if pieces == 1:
        parts = [b"".join(parts)]
    got: list[bytes] = []

    def answer() -> None:
        got.append(peer.lines.readline())
        peer.sock.sendall(b'{"status": "ok", "ret": 7}\n')

    result = with_thread(answer, lambda: peer.connection.call(parts, None, time.monotonic() + 150))
    assert result == 7
    assert got[0] == b"".join(parts)
    assert peer.connection.clean
    assert peer.connection.quiet()


def test_an_answer_in_many_parts_is_one_answer_also_after_a_pause(peer: Peer) -> None:
    def answer() -> None:
        peer.lines.readline()
        for part in (b'{"status": ', b'"ok", "ret"', b": [1, 2]}\n"):
            peer.sock.sendall(part)
            time.sleep(0.02)

    for silence in (None, 150.0):
        for left in (None, 150.0):
            assert with_thread(answer, partial(called, peer.connection, silence, left)) == [1, 2]
            assert peer.connection.clean


def test_a_limit_of_one_call_is_not_one_of_the_next(peer: Peer) -> None:
    def at_once() -> None:
        peer.lines.readline()
        peer.sock.sendall(b'{"status": "ok", "ret": 7}\n')

    def limit(silence: float | None, deadline: float | None) -> float | None:
        """Return what a call has limited the last wait to."""
        with_thread(at_once, lambda: peer.connection.call(request(peer.connection), silence, deadline))
        return peer.connection.sock.gettimeout()

    soon = time.monotonic() + 150
    assert limit(None, None) is None
    assert limit(140.0, None) == 140.0
    assert limit(140.0, soon + 1000) == 140.0
    bounded = limit(1000.0, soon)
    assert bounded is not None
    assert 0 < bounded <= 150
    assert limit(None, None) is None
    bounded = limit(None, soon)
    assert bounded is not None
    assert 0 < bounded <= 150


def test_a_failed_method_leaves_a_connection_for_the_next_call(peer: Peer) -> None:
    def fail() -> None:
        peer.lines.readline()
        peer.sock.sendall(
            b'{"status": "failed", "exception": {"class": "ValueError", "message": "odd", "traceback": ["x"]}}\n'
        )

    with pytest.raises(Exception, match="odd"):
        with_thread(fail, lambda: peer.connection.call(request(peer.connection), None, None))
    assert peer.connection.clean


def test_rubbish_in_place_of_an_answer_leaves_none(peer: Peer) -> None:
    def rubbish() -> None:
        peer.lines.readline()
        peer.sock.sendall(b"SSH-2.0\n")

    with pytest.raises(Exception, match="sent what is no answer"):
        with_thread(rubbish, lambda: peer.connection.call(request(peer.connection), None, None))
    assert not peer.connection.clean


def test_what_arrives_unasked_and_an_end_make_a_connection_unquiet(peer: Peer) -> None:
    assert peer.connection.quiet()
    peer.sock.sendall(b"x")
    assert within(150, lambda: not peer.connection.quiet())
    peer.sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ConnectionBroken, match="connection to there:1, target 'drv': "):
        peer.connection.call(request(peer.connection), None, None)
    assert not peer.connection.clean


def test_the_end_of_the_other_side_ends_a_call(peer: Peer) -> None:
    def end() -> None:
        peer.lines.readline()
        peer.sock.sendall(b'{"status": ')
        peer.sock.shutdown(socket.SHUT_WR)

    with pytest.raises(ConnectionBroken, match="the other side closed the connection") as caught:
        with_thread(end, lambda: peer.connection.call(request(peer.connection), None, None))
    assert isinstance(caught.value.__cause__, ConnectionBroken)
    assert caught.value.__cause__.__cause__ is None  # said once
    assert not peer.connection.clean
    assert not peer.connection.quiet()


def test_part_of_a_second_answer_is_no_quiet(peer: Peer) -> None:
    def twice() -> None:
        peer.lines.readline()
        peer.sock.sendall(b'{"status": "ok", "ret": 7}\n{"status"')

    assert with_thread(twice, lambda: peer.connection.call(request(peer.connection), None, None)) == 7
    assert not peer.connection.quiet()


def test_a_handshake_with_more_than_was_asked_for_is_refused(strange: Peer) -> None:
    strange.more = b"x"
    with pytest.raises(ConnectionFailed, match="the other side said more than was asked for, or ended"):
        with_thread(strange.shake_hands, lambda: strange.connection.shake_hands(150.0))
    assert not strange.connection.clean


def test_a_handshake_that_is_not_answered_is_given_up(strange: Peer) -> None:
    with pytest.raises(ConnectionFailed):
        strange.connection.shake_hands(0.05)
    assert not strange.connection.clean


def test_a_choice_that_is_not_answered_leaves_a_connection_that_is_not_used() -> None:
    peer = Peer(target=None)
    with_thread(peer.shake_hands, lambda: peer.connection.shake_hands(150.0))
    assert peer.connection.quiet()
    with pytest.raises(ConnectionFailed):
        peer.connection.choose("drv", 0.05)
    assert not peer.connection.clean
    peer.close()


def test_a_wait_in_slices_ends_with_what_arrives_or_its_time(peer: Peer) -> None:
    """As on Windows, where Ctrl-C interrupts no longer wait."""
    wait, limit = peer.connection._wait_awake, peer.connection._set_timeout

    def soon() -> None:
        time.sleep(0.3)
        peer.sock.sendall(b"x")

    limit(150.0)
    with_thread(soon, wait)
    limit(None)
    wait()
    limit(0.01)
    wait()
    assert peer.connection.sock.recv(1) == b"x"
    with pytest.raises(TimeoutError):
        wait()


def test_a_wait_in_slices_takes_its_time_to_the_end(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sock = peer.connection.sock

    def selected(read: Any, write: Any, error: Any, seconds: float) -> Any:
        assert (read, write, error) == ([sock], [], [])
        waits.append(seconds)
        assert len(waits) < 9
        return ([sock] if len(waits) == ready else []), [], []

    monkeypatch.setattr(wire_connection, "_SLICE", 0.25)
    monkeypatch.setattr(wire_connection, "select", SimpleNamespace(select=selected))
    monkeypatch.setattr(wire_connection, "time", SimpleNamespace(monotonic=lambda: 64.0 + sum(waits)))
    for limit, ready, waited in (
        (0.625, 0, [0.25, 0.25, 0.125, 0.0]),
        (0.625, 2, [0.25] * 2),
        (None, 7, [0.25] * 7),
    ):
        waits.clear()
        peer.connection._timeout = limit
        if ready:
            peer.connection._wait_awake()
        else:
            with pytest.raises(TimeoutError):
                peer.connection._wait_awake()
        assert waits == waited


def test_a_connection_is_quiet_also_where_there_is_no_poll(peer: Peer) -> None:
    assert (
        (peer.connection._poll is not None) == (peer.connection._spin is not None) == hasattr(select, "poll")
    )
    peer.connection._poll = None
    assert peer.connection.quiet() is True
    peer.sock.sendall(b"x")
    select.select([peer.connection.sock], [], [], 150)
    assert peer.connection.quiet() is False


def test_a_call_whose_time_is_over_is_not_sent(peer: Peer) -> None:
    for pieces in (request(peer.connection), [b"two", b"pieces\n"]):
        with pytest.raises(CallTimeout, match="did not answer in time"):
            peer.connection.call(pieces, None, time.monotonic())
    peer.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.sock.recv(1)


def test_closing_wakes_a_thread_that_waits(peer: Peer) -> None:
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            peer.connection.call(request(peer.connection), None, None)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    peer.lines.readline()
    peer.connection.clean = True  # as one of another thread may have seen it
    peer.connection.close()
    thread.join(150)
    assert [type(each) for each in errors] == [ConnectionBroken]
    assert not peer.connection.clean
    peer.connection.close()


def test_ctrl_c_while_it_connects_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[socket.socket] = []

    def interrupted(sock: socket.socket, address: object) -> None:
        begun.append(sock)
        raise KeyboardInterrupt

    monkeypatch.setattr(socket.socket, "connect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reach("127.0.0.1", 3250, 5.0)
    assert [each.fileno() for each in begun] == [-1]


def test_a_wait_that_would_begin_at_its_deadline_is_over(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_connection, "time", SimpleNamespace(monotonic=lambda: 100.0))
    peer.connection._bound(None, 100.5)
    assert peer.connection.sock.gettimeout() == 0.5
    with pytest.raises(TimeoutError):
        peer.connection._bound(None, 100.0)

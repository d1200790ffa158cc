"""Both ends of the handshake as step objects, without sockets; a client whose preparation is cut short."""

import pytest

from rexec.wire import errors
from rexec.wire._framing import Frame, FrameReader
from rexec.wire._handshake import AutoTarget, Choice, ClientHandshake, ServerHandshake
from rexec.wire._protocol import FEATURES, PYON_V2
from rexec.wire.pc_rpc import Client
from tests.serving import running
from tests.wire.driver import Drv, give_up_a_call


def frame(line: bytes | None) -> Frame:
    assert line is not None
    return Frame(line.removesuffix(b"\n"))


@pytest.mark.parametrize("features", [FEATURES, (PYON_V2,), ()], ids=["ours", "v2", "v1"])
def test_the_two_ends_agree(features: tuple[str, ...]) -> None:
    ours, theirs = FrameReader(), FrameReader()
    client = ClientHandshake("there:1", ours, AutoTarget, features)
    server = ServerHandshake(theirs, ["drv"], "a description")
    greeting = server.take(frame(client.begin()))
    assert isinstance(greeting, bytes)
    choice = server.take(frame(client.take(frame(greeting))))
    assert isinstance(choice, Choice)
    assert choice.target == "drv"
    assert choice.codec == client.conversation.codec
    assert ours.raw == theirs.raw == (features == FEATURES)
    names = b"".join(bytes(piece) for piece in choice.codec.encode({"ping"}))
    assert client.take(frame(names)) is None
    assert client.conversation.methods == {"ping"}
    assert client.conversation.where == "there:1, target 'drv'"
    assert client.conversation.greeting.description == "a description"


@pytest.mark.parametrize(
    "lines", [[b"SSH-2.0"], [b"ARTIQ pc_rpc", b"camra"], [b"ARTIQ pc_rpc", b"drv pyon_v9"]]
)
def test_a_server_refuses_what_it_does_not_know(lines: list[bytes]) -> None:
    server = ServerHandshake(FrameReader(), ["drv"])
    for line in lines[:-1]:
        server.take(Frame(line))
    with pytest.raises(errors.FormatError, match="unknown") as caught:
        server.take(Frame(lines[-1]))
    assert caught.value.said == lines[-1]


class Cut(KeyboardInterrupt):
    """What ends the preparation."""


def test_a_connection_whose_preparation_was_cut_short_is_not_used() -> None:
    prepared: list[int] = []

    def prepare(client: Client) -> None:
        client.echo(len(prepared))  # the client may be called meanwhile
        prepared.append(client.rpc_connections)
        if len(prepared) == 1:
            raise Cut

    drv = Drv()
    with running({"drv": drv}) as server:
        with Client("127.0.0.1", server.port, on_connect=prepare) as client:
            give_up_a_call(client, drv)
            with pytest.raises(Cut):
                client.echo(1)
            assert client.echo(2) == 2
            assert prepared == [2, 3]

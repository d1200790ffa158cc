"""A driver method may raise anything: the client gets an exception, and the server goes on."""

import asyncio
import builtins
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from rexec.wire.errors import WireError
from rexec.wire.packed_exceptions import GenericRemoteException
from rexec.wire.pc_rpc import Client, Server, while_busy
from tests.serving import free_port, serving
from tests.waiting import wait_for

LOCAL: Final = "127.0.0.1"


class BadText(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class BadEverything(BaseException):
    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(4)


class BadClass(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__qualname__", "__name__"):
            raise GeneratorExit
        return super().__getattribute__(name)


class OfBadClass(Exception, metaclass=BadClass):
    pass


def _made(kind: type[BaseException]) -> BaseException:
    for arguments in (
        (),
        ("text",),
        ("utf-8", b"\xff", 0, 1, "bad"),
        ("utf-8", "text", 0, 1, "bad"),
        ("text", 0, 1, "bad"),
        ("g", [OSError()]),
    ):
        try:
            return kind(*arguments)
        except TypeError:
            continue
    raise AssertionError(kind)


BUILTIN = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}
KINDS: Final[dict[str, type[BaseException]]] = {
    **BUILTIN,
    "CancelledError": asyncio.CancelledError,
    "BadText": BadText,
    "BadEverything": BadEverything,
    "OfBadClass": OfBadClass,
}


class Unpackable:
    """A value whose encoding raises what ends programs."""

    def __reduce__(self) -> Any:
        raise SystemExit(5)

    @property
    def __class__(self) -> Any:
        raise KeyboardInterrupt

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise KeyboardInterrupt


class Drv:
    def ping(self) -> bool:
        return True

    def plain(self, name: str) -> None:
        raise _made(KINDS[name])

    async def waiting(self, name: str) -> None:
        await asyncio.sleep(0)
        raise _made(KINDS[name])

    @while_busy
    def at_once(self, name: str) -> None:
        raise _made(KINDS[name])

    def value(self, name: str) -> Any:
        return [Unpackable()]

    async def in_a_task(self, name: str) -> None:
        await asyncio.create_task(self.waiting(name))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving({"drv": Drv()}) as port:
        yield port


@pytest.mark.parametrize("how", ["plain", "waiting", "at_once", "value"])
def test_the_client_gets_an_exception_and_the_server_goes_on(port: int, how: str) -> None:
    with Client(LOCAL, port, timeout=150, reconnect_timeout=0) as client:
        for name, kind in KINDS.items():
            with pytest.raises(Exception) as caught:  # noqa: PT011 - anything
                getattr(client, how)(name)
            assert not isinstance(caught.value, WireError), (name, caught.value)
            if how != "value" and not issubclass(type(_made(kind)), Exception):
                assert isinstance(caught.value, GenericRemoteException), (name, caught.value)
            assert client.ping() is True, name
        assert client.rpc_connections == 1


def test_a_factory_may_raise_anything_too() -> None:
    def factory() -> Any:
        raise SystemExit(3)

    with serving({"bad": factory, "marked": while_busy(lambda: factory()), "good": Drv()}) as port:
        for target in ("bad", "marked"):
            with pytest.raises(ConnectionError):
                Client(LOCAL, port, target, timeout=150)
        with Client(LOCAL, port, "good", timeout=150) as client:
            assert client.ping() is True


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt"])
def test_a_task_of_the_driver_does_not_end_the_loop(name: str, tmp_path: Path) -> None:
    port = free_port()
    program = (
        "from rexec.wire.pc_rpc import simple_server_loop\n"
        "from tests.wire.test_anything_raised import Drv\n"
        f"simple_server_loop({{'drv': Drv()}}, '{LOCAL}', {port})"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    try:
        wait_for(port)
        with Client(LOCAL, port, timeout=150, reconnect_timeout=0) as client:
            with pytest.raises(GenericRemoteException, match=name):
                client.in_a_task(name)
            assert client.ping() is True
            client.terminate()
        assert process.wait(150) == 0
    finally:
        process.kill()
        process.wait(150)


def test_targets_may_be_added_while_the_server_runs() -> None:
    targets: dict[str, Any] = {"first": Drv()}
    with serving(targets) as port:
        targets["second"] = Drv()
        with Client(LOCAL, port, "second", timeout=150) as client:
            assert client.ping() is True
            assert client.get_rpc_id()[0] == ["first", "second"]


def test_the_listening_sockets_are_where_programs_look_for_them() -> None:
    async def main() -> None:
        server = Server({"drv": Drv()})
        await server.start(LOCAL, 0)
        try:
            assert server.server is not None
            assert server.server.sockets[0].getsockname() == (LOCAL, server.port)
            assert server.server.is_serving()
        finally:
            await server.stop()

    asyncio.run(main())

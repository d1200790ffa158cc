"""The threads, or tasks, of a program share a client."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from rexec.wire.pc_rpc import AsyncioClient, Client
from tests.serving import running
from tests.threads.interleaving import Race
from tests.threads.interrupting import interrupted_everywhere

CLIENT = ("rexec/wire/_client.py",)
CALL = (*CLIENT, "rexec/wire/connection.py", "rexec/wire/call_lock.py")


class Driver:
    def echo(self, value: int) -> int:
        return value


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running({"one": Driver(), "other": Driver()}) as server:
        yield server.port


def echo(number: int) -> Any:
    return lambda client: client.echo(number)


def target(client: Client) -> Any:
    """Close a client; return its target, and how often it has connected."""
    found = client.get_selected_target(), client.rpc_connections
    client.close_rpc()
    return found


def test_two_threads_get_their_own_answers(port: int) -> None:
    Race(
        lambda: Client("127.0.0.1", port, "one"),
        echo(1),
        echo(2),
        target,
        (*CLIENT, "wire/connection.py"),
        every=2,
    ).check()


CHOSEN: dict[str, tuple[Any, Any]] = {
    "twice": (lambda c: c.select_rpc_target("one"), lambda c: c.select_rpc_target("one")),
    "and used": (lambda c: c.select_rpc_target("one"), lambda c: c.get_local_host()),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_a_target_is_chosen_as_another_thread_asks(port: int, name: str) -> None:
    files = (*CLIENT, "wire/connection.py")
    Race(lambda: Client("127.0.0.1", port, None), *CHOSEN[name], target, files, every=5).check()


def test_a_call_that_is_interrupted_costs_no_other_its_answer(port: int) -> None:
    with Client("127.0.0.1", port, "one") as client:

        def check(number: int, raised: bool, where: str) -> None:
            assert client.echo(-number) == -number, where

        numbers = iter(range(1, 10_000))
        places = interrupted_everywhere(
            lambda: next(numbers),
            lambda number: client.echo(number),
            check,
            CALL,
        )
        assert places > 10


def test_tasks_get_their_own_answers_also_when_one_is_cancelled_at_any_step(port: int) -> None:
    async def main() -> None:
        client = AsyncioClient()
        await client.connect_rpc("127.0.0.1", port, "one")
        assert await asyncio.gather(*map(client.echo, range(5))) == list(range(5))
        assert client.rpc_connections == 1
        for steps in range(12):
            tasks = [asyncio.create_task(client.echo(number)) for number in range(3)]
            for _ in range(steps):
                await asyncio.sleep(0)
            tasks[steps % 3].cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            for number, answer in enumerate(found):
                assert answer == number or isinstance(answer, asyncio.CancelledError), steps
            assert sum(isinstance(answer, asyncio.CancelledError) for answer in found) <= 1
            assert await client.echo(7) == 7
        await client.close_rpc()

    asyncio.run(main())

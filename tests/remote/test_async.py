"""Remote functions from asyncio."""

import asyncio
import contextlib

import pytest

import rexec.remote
from rexec.remote import AsyncRemote, Captured, RemoteClosed, open_remotes
from rexec.wire.pc_rpc import Client
from tests.remote import code
from tests.remote_exec.peers import MAKES, controller


@pytest.mark.parametrize("make", MAKES)
def test_calls_jobs_and_streams_are_awaited(make: str) -> None:
    async def use(port: int) -> None:
        client = await asyncio.to_thread(Client, "127.0.0.1", port, "camera_rexec")
        async with AsyncRemote(rexec.remote.wrap(client)) as remote:
            scaled = remote.function(code.scaled, parallel=True)
            assert await asyncio.gather(*(scaled(x) for x in range(5))) == [0, 3, 6, 9, 12]
            job = await remote.function(code.slow).submit(0.1)
            assert await asyncio.wrap_future(job) == "done"
            assert [item async for item in remote.function(code.frames).stream(20)] == list(range(20))
            with pytest.raises(KeyError):
                await remote.function(code.misses)()

    with controller(make) as port:
        asyncio.run(use(port))


def test_a_cancelled_task_cancels_the_remote_function() -> None:
    async def use(port: int) -> None:
        client = await asyncio.to_thread(Client, "127.0.0.1", port, "camera_rexec")
        async with AsyncRemote(rexec.remote.wrap(client)) as remote:
            task = asyncio.create_task(remote.function(code.slow)(30))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # The driver is free again.
            assert await asyncio.wait_for(remote.function(code.scaled)(1), 150) == 3

    with controller("ours") as port:
        asyncio.run(use(port))


@pytest.mark.parametrize("make", MAKES)
def test_a_stream_that_is_left_early_ends_its_generator_and_makes_few_items_in_advance(make: str) -> None:
    async def use(port: int) -> None:
        client = await asyncio.to_thread(Client, "127.0.0.1", port, "camera_rexec")
        async with AsyncRemote(rexec.remote.wrap(client)) as remote:
            measure = remote.function(code.measure)
            before = await measure()
            async with contextlib.aclosing(remote.function(code.frames).stream(1000, log=True)) as stream:
                assert [await anext(stream), await anext(stream)] == [0, 1]
                await asyncio.sleep(0.3)
                # The consumer sleeps: the generator waits for it, and others have the driver.
                made = await measure() - before
                assert 2 <= made < 30
                assert not await remote.function(code.has_ended)()
            assert await remote.function(code.has_ended)()

    with controller(make) as port:
        asyncio.run(use(port))


def test_a_cancelled_consumer_ends_the_generator() -> None:
    async def use(port: int) -> None:
        client = await asyncio.to_thread(Client, "127.0.0.1", port, "camera_rexec")
        async with AsyncRemote(rexec.remote.wrap(client)) as remote:
            seen = asyncio.Event()

            async def consume() -> None:
                async with contextlib.aclosing(remote.function(code.frames).stream(1000, log=True)) as stream:
                    async for _ in stream:
                        seen.set()
                        await asyncio.sleep(30)

            task = asyncio.create_task(consume())
            await asyncio.wait_for(seen.wait(), 150)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await remote.function(code.has_ended)()

    with controller("ours") as port:
        asyncio.run(use(port))


def test_the_end_of_the_block_and_close_rpc_end_jobs_and_connection() -> None:
    async def use(port: int) -> None:
        for is_block in (True, False):
            remote = AsyncRemote(
                rexec.remote.wrap(await asyncio.to_thread(Client, "127.0.0.1", port, "camera_rexec"))
            )
            async with remote if is_block else contextlib.nullcontext(remote) as used:
                assert used is remote
                assert await remote.function(code.speaks).captured() == Captured(7, ["printed 1", "logged 2"])
                job = await remote.function(code.slow).submit(150)
            if not is_block:
                assert remote.remote in open_remotes()
                await remote.close_rpc()
            assert remote.remote not in open_remotes()
            with pytest.raises(RemoteClosed):
                await asyncio.wrap_future(job)

    with controller("ours") as port:
        asyncio.run(use(port))

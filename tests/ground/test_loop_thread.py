"""An event loop in a thread: its start, its calls and its end, each also when it goes wrong."""

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from rexec.ground.loop_thread import LoopThread
from tests.ground.forking import in_a_fork, program, said

posix = pytest.mark.skipif(sys.platform == "win32", reason="forks and signals of POSIX")


class Context:
    """A context that tells what happened to it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[str]:
        self.seen.append(threading.current_thread().name)
        try:
            yield "value"
        finally:
            self.seen.append("left")


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


async def thread_name(suffix: str, *, prefix: str = "") -> str:
    await asyncio.sleep(0)
    return prefix + threading.current_thread().name + suffix


async def fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


def loop_thread(
    context: Callable[[], contextlib.AbstractAsyncContextManager[object]], timeout: float = 150.0
) -> "LoopThread[object]":
    return LoopThread(context, name="loop under test", timeout=timeout)


def test_the_context_is_entered_and_left_in_the_thread() -> None:
    context = Context()
    with loop_thread(context) as value:
        assert value == "value"
        assert context.seen == ["loop under test"]
    assert context.seen == ["loop under test", "left"]


def test_a_call_returns_or_raises_what_the_function_does() -> None:
    thread = loop_thread(nothing)
    with thread:
        assert thread.call(thread_name, "!", prefix=">") == ">loop under test!"
        for error in (LookupError("lost"), TimeoutError("late"), SystemExit(3), KeyboardInterrupt()):
            with pytest.raises(type(error)) as found:
                thread.call(fail, error)
            assert found.value is error
        assert thread.call(thread_name, "") == "loop under test", "it goes on after each of them"


def test_calls_of_several_threads_get_their_own_answers() -> None:
    answers: dict[int, list[str]] = {}
    thread = loop_thread(nothing)

    def ask(number: int) -> None:
        answers[number] = [thread.call(thread_name, f"{number}.{each}") for each in range(50)]

    with thread:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(150)
    assert answers == {
        number: [f"loop under test{number}.{each}" for each in range(50)] for number in range(4)
    }


@pytest.mark.parametrize(
    "error", [OSError("no such port"), SystemExit(2), KeyboardInterrupt(), TimeoutError()]
)
def test_a_context_that_cannot_be_entered_raises_at_the_start(error: BaseException) -> None:
    @asynccontextmanager
    async def refuse() -> AsyncIterator[None]:
        await fail(error)
        yield

    thread = loop_thread(refuse)
    with pytest.raises(type(error)) as found:
        thread.start()
    assert found.value is error
    with pytest.raises(RuntimeError, match="does not run"):
        thread.call(thread_name, "")
    thread.close()
    with pytest.raises(RuntimeError, match="started before"):
        thread.start()


def test_a_context_that_cannot_be_made_raises_at_the_start() -> None:
    def refuse() -> contextlib.AbstractAsyncContextManager[None]:
        raise LookupError("no such laboratory")

    with pytest.raises(LookupError, match="no such laboratory"):
        loop_thread(refuse).start()


def test_a_loop_that_cannot_be_made_raises_at_the_start() -> None:
    def refuse() -> asyncio.AbstractEventLoop:
        raise OSError("too many open files")

    thread = LoopThread(nothing, name="it", new_loop=refuse)
    with pytest.raises(OSError, match="too many"):
        thread.start()
    thread.close()


def test_a_thread_that_cannot_be_started_leaves_no_loop_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    def make() -> asyncio.AbstractEventLoop:
        loops.append(asyncio.new_event_loop())
        return loops[0]

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    thread = LoopThread(nothing, name="it", new_loop=make)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            thread.start()
    assert loops[0].is_closed()
    thread.close()


def test_what_the_context_raises_at_its_end_is_raised_once_by_close() -> None:
    @asynccontextmanager
    async def leave_badly() -> AsyncIterator[None]:
        yield
        raise OSError("disk full")

    thread = loop_thread(leave_badly)
    thread.start()
    with pytest.raises(OSError, match="disk full"):
        thread.close()
    thread.close()


def test_a_context_that_does_not_end_is_left_behind_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    free = asyncio.Event()
    loops = []

    @asynccontextmanager
    async def stay() -> AsyncIterator[None]:
        loops.append(asyncio.get_running_loop())
        yield
        await free.wait()

    thread = loop_thread(stay, timeout=0.1)
    thread.start()
    thread.close()
    assert "loop under test has not ended within 0.1 s; it is left behind" in caplog.text
    loops[0].call_soon_threadsafe(free.set)
    assert thread.wait(150.0)
    thread.close()


def test_a_call_that_runs_when_the_context_ends_is_told_so() -> None:
    thread = loop_thread(nothing)
    begun = threading.Event()
    raised: list[BaseException] = []

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    def ask() -> None:
        try:
            thread.call(hang)
        except RuntimeError as error:
            raised.append(error)

    with thread:
        asking = threading.Thread(target=ask)
        asking.start()
        assert begun.wait(150.0)
    asking.join(150)
    assert "loop under test" in str(raised[0])


def test_calls_at_any_moment_of_the_end_are_answered_or_refused() -> None:
    for _ in range(20):
        thread = loop_thread(nothing)
        thread.start()
        ended = threading.Event()
        counts: list[int] = []

        def ask(
            thread: "LoopThread[object]" = thread, ended: threading.Event = ended, counts: list[int] = counts
        ) -> None:
            count = 0
            with contextlib.suppress(RuntimeError):
                while True:
                    assert thread.call(thread_name, "") == "loop under test"
                    count += 1
            counts.append(count)
            ended.set()

        asking = threading.Thread(target=ask)
        asking.start()
        thread.close()
        assert ended.wait(150.0)
        asking.join(150)
        assert counts


def test_its_own_thread_cannot_wait_for_itself_but_can_end_it() -> None:
    thread = loop_thread(nothing)

    async def wait_for_itself() -> None:
        thread.call(thread_name, "")

    async def end() -> None:
        thread.close()

    with thread:
        with pytest.raises(RuntimeError, match="cannot wait for itself"):
            thread.call(wait_for_itself)
        assert not thread.wait(0.0)
        with contextlib.suppress(RuntimeError):  # the loop may end before the call has returned
            thread.call(end)
        assert thread.wait(150.0)


def test_after_the_end_nothing_is_called() -> None:
    thread = loop_thread(nothing)
    with thread:
        assert not thread.wait(0.0)
    assert thread.wait(0.0)
    thread.end()
    with pytest.raises(RuntimeError, match="does not run"):
        thread.call(thread_name, "")


def test_before_the_start_nothing_is_called() -> None:
    thread = loop_thread(nothing)
    with pytest.raises(RuntimeError, match="does not run"):
        thread.call(thread_name, "")
    thread.close()
    assert thread.start() is None
    thread.close()


@posix
def test_in_a_forked_process_nothing_is_called_and_nothing_ends() -> None:
    context = Context()
    thread = loop_thread(context)

    def use() -> str:
        with pytest.raises(RuntimeError, match="forked"):
            thread.call(thread_name, "")
        thread.close()
        return "closed"

    before = loop_thread(nothing)

    def begin() -> str:
        with before:
            return before.call(thread_name, "")

    assert in_a_fork(begin) == "loop under test"
    with thread:
        assert in_a_fork(use) == "closed"
        assert thread.call(thread_name, "") == "loop under test"
        assert context.seen == ["loop under test"]


@posix
@pytest.mark.parametrize("moment", ["enter", "call"])
def test_ctrl_c_cancels_what_is_waited_for(moment: str) -> None:
    text = f"""
        import asyncio
        from contextlib import asynccontextmanager
        from rexec.ground.loop_thread import LoopThread

        async def wait(moment):
            if moment != {moment!r}:
                return
            try:
                print("waiting", flush=True)
                await asyncio.Event().wait()
            finally:
                print(moment, "cancelled", flush=True)

        @asynccontextmanager
        async def context():
            await wait("enter")
            yield
            print("left", flush=True)

        thread = LoopThread(context, name="it", timeout=20.0)
        try:
            with thread:
                thread.call(wait, "call")
        except KeyboardInterrupt:
            print("interrupted", thread.wait(0.0), flush=True)
    """
    with program(text) as process:
        assert said(process) == "waiting"
        process.send_signal(signal.SIGINT)
        assert said(process) == f"{moment} cancelled"
        if moment == "call":
            assert said(process) == "left"
        assert said(process) == "interrupted True"
        assert process.wait(150) == 0


@posix
def test_a_program_ends_although_its_loop_still_runs() -> None:
    text = """
        from contextlib import asynccontextmanager
        from rexec.ground.loop_thread import LoopThread

        @asynccontextmanager
        async def context():
            yield "value"

        print(LoopThread(context, name="it").start(), flush=True)
    """
    with program(text) as process:
        assert said(process) == "value"
        assert process.wait(150) == 0

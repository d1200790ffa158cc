"""A fleet's workers in a forked child, and calls of a fleet by a callback of its own."""

import os
import signal
import sys
from concurrent.futures import CancelledError

import pytest

from rexec.remote._workers import Workers
from tests.campaigns.one_client_remote import connected, own_controller, same
from tests.remote import code


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_child_spreads_its_work_by_threads_of_its_own() -> None:
    with own_controller() as port, connected(port) as remote:
        workers = Workers({"camera": remote})
        assert workers.submit(same, 1).result(150) == 1
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            status = 1
            try:
                status = 0 if workers.submit(same, 2).result(150) == 2 else 1
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert workers.submit(same, 3).result(150) == 3
        workers.shutdown(wait=True, cancel=False)


def test_a_callback_of_a_call_that_is_cancelled_may_use_the_fleet() -> None:
    with own_controller() as port, connected(port) as remote:
        workers = Workers({"camera": remote})
        told: list[str] = []

        def again(_: object) -> None:
            try:
                workers.submit(same, 2)
            except RuntimeError as error:
                told.append(str(error))

        busy = workers.submit(code.slow, 150)  # until it is asked to end: none of the others may begin before
        waiting = [workers.submit(same, number) for number in range(50)]
        waiting[-1].add_done_callback(again)
        workers.shutdown(wait=False, cancel=True)
        with pytest.raises(CancelledError):
            busy.result(150)
        assert all(each.cancelled() for each in waiting)
        assert told == ["the fleet was shut down: it takes no more work"]

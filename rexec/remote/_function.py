"""A function that runs on a controller, as the caller sees it."""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, ParamSpec, TypeVar

from rexec.remote._errors import StateLost
from rexec.remote._follower import Follower
from rexec.remote._jobs import Captured, Job, News
from rexec.remote._shipment import Shipment
from rexec.remote._streams import Stream

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
_WINDOW: Final = 8
"""Items that a stream makes in advance of its consumer."""
_NOT_YET: Final = math.inf


@dataclass(frozen=True)
class Options:
    """How a function is run.

    Args:
        parallel: Run beside other remote functions, instead of having the driver in turns.
        stateless: Nothing it needs is kept on the controller between calls: no `StateLost` after a restart.
        deadline: Seconds after which a call is to end.
        detached: Jobs go on when their client has gone.
        quick: The request that starts it waits a moment for its end.

    """

    parallel: bool = False
    stateless: bool = False
    deadline: float | None = None
    detached: bool = False
    quick: bool = True


class RemoteFunction(Generic[P, R_co]):
    """A function that runs on a controller: call it, `submit` it as a job, or `stream` its items.

    Made by `Remote.function`.

    Args:
        follower: Of the controller.
        function: The function here.
        shipment: What it needs there.
        options: How it is run.

    """

    def __init__(
        self, follower: Follower, function: Callable[P, R_co], shipment: Shipment, options: Options
    ) -> None:
        self._follower = follower
        self._shipment = shipment
        self._options = options
        self.__wrapped__ = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function there and return its value.

        Raises:
            StateLost: The controller was restarted since the last call.
            ConnectionError: It cannot be reached.
            Exception: What the function raised, with its traceback there as a note.

        """
        return self._wait_for(self.submit(*args, **kwargs), Job.result)

    def captured(self, *args: P.args, **kwargs: P.kwargs) -> Captured[R_co]:
        """Run the function there and return its value together with what it printed and logged; see `__call__`."""
        return self._wait_for(self.submit(*args, **kwargs), Job.captured)

    def _wait_for(self, job: Job[R_co], result: Callable[[Job[R_co]], T]) -> T:
        try:
            return result(job)
        except BaseException:
            if not job.done():
                job.cancel()  # the caller was interrupted: so is the function
            raise

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]:
        """Start the function as a job and return that."""
        job, news = self._start(args, kwargs)
        self._follower.follow(job, news)
        return job

    def one_of_many(self) -> "RemoteFunction[P, R_co]":
        """Return the function for calls on many controllers at once: no request waits for a quick end."""
        return RemoteFunction(
            self._follower, self.__wrapped__, self._shipment, replace(self._options, quick=False)
        )

    def arm(self, *args: P.args, **kwargs: P.kwargs) -> Callable[[float], tuple[Job[R_co], float]]:
        """Send and start the function as a job that waits; return what lets it go.

        Returns:
            Takes the time of the start by the controller's clock, in seconds since the epoch; returns the job, and
            how many seconds before that time the controller had heard of it.

        """
        job, news = self._start(args, kwargs, start_at=_NOT_YET)

        def go(at: float) -> tuple[Job[R_co], float]:
            early: float = self._follower.channel.request("start", [job.id, at])
            self._follower.follow(job, news)
            return job, early

        return go

    def stream(self: "RemoteFunction[P, Iterator[T]]", *args: P.args, **kwargs: P.kwargs) -> Stream[T]:
        """Start a generator function and return the iterator of its items; it makes 8 at most in advance."""
        job, news = self._start(args, kwargs, window=_WINDOW)
        return Stream(self._follower, job, news)

    def _start(
        self, args: Any, kwargs: Any, *, window: int = 0, start_at: float | None = None
    ) -> tuple[Job[Any], News]:
        spec = {
            "key": self._shipment.key,
            "function": self._shipment.function,
            "parallel": self._options.parallel,
            "deadline": self._options.deadline,
            "detached": self._options.detached,
            "args": list(args),
            "kwargs": kwargs,
            "window": window,
            "start_at": start_at,
            "quick": self._options.quick,
        }
        try:
            return self._follower.start(self._shipment, spec)
        except StateLost:
            if not self._options.stateless:
                raise
            return self._follower.start(self._shipment, spec)

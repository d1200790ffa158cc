"""A function that runs on a controller, as the caller sees it."""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, ParamSpec, TypeVar

from rexec.remote._errors import StateLost, without_our_frames
from rexec.remote._html import function_html
from rexec.remote._jobs import Captured, Job, News
from rexec.remote._poller import Poller
from rexec.remote._shipment import Shipment
from rexec.remote._streams import Stream

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
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
        poller: Of the controller.
        function: The function here.
        shipment: What it needs there.
        options: How it is run.

    """

    __wrapped__: Callable[P, R_co]

    def __init__(
        self, poller: Poller, function: Callable[P, R_co], shipment: Shipment, options: Options
    ) -> None:
        self._poller = poller
        self._shipment = shipment
        self._options = options
        functools.update_wrapper(self, function)

    def __repr__(self) -> str:
        return f"<RemoteFunction {self.__wrapped__.__qualname__} on {self._poller.channel.where}>"

    def _repr_html_(self) -> str:
        return function_html(self, self._poller.channel.where)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function there and return its value.

        Raises:
            StateLost: The controller was restarted since the last call.
            ConnectionError: It cannot be reached.
            Exception: What the function raised, with its traceback there as a note.

        """
        __tracebackhide__ = True  # pytest leaves this frame out
        try:
            return self._wait_for(self.submit(*args, **kwargs), Job.result)
        except BaseException as error:
            raise without_our_frames(error)  # noqa: B904  (it is the same one)

    def captured(self, *args: P.args, **kwargs: P.kwargs) -> Captured[R_co]:
        """Run the function there and return its value together with what it printed and logged; see `__call__`."""
        __tracebackhide__ = True  # pytest leaves this frame out
        try:
            return self._wait_for(self.submit(*args, **kwargs), Job.captured)
        except BaseException as error:
            raise without_our_frames(error)  # noqa: B904  (it is the same one)

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
        self._poller.follow(job, news)
        return job

    def one_of_many(self) -> "RemoteFunction[P, R_co]":
        """Return the function for calls on many controllers at once: no request waits for a quick end."""
        return RemoteFunction(
            self._poller, self.__wrapped__, self._shipment, replace(self._options, quick=False)
        )

    def arm(self, *args: P.args, **kwargs: P.kwargs) -> Callable[[float], tuple[Job[R_co], float]]:
        """Send and start the function as a job that waits; return what lets it go.

        Returns:
            Takes the time of the start by the controller's clock, in seconds since the epoch; returns the job, and
            how many seconds before that time the controller had heard of it.

        """
        job, news = self._start(args, kwargs, start_at=_NOT_YET)

        def go(at: float) -> tuple[Job[R_co], float]:
            early: float = self._poller.channel.request("start", [job.id, at])
            self._poller.follow(job, news)
            return job, early

        return go

    def stream(self: "RemoteFunction[P, Iterator[T]]", *args: P.args, **kwargs: P.kwargs) -> Stream[T]:
        """Start a generator function and return the iterator of its items.

        It makes 8 in advance; more, up to 4 MiB, for a consumer that is fast: those of 100 ms at its present rate.
        """
        job, news = self._start(args, kwargs, streams=True)
        return Stream(self._poller, job, news)

    def _start(
        self, args: Any, kwargs: Any, *, streams: bool = False, start_at: float | None = None
    ) -> tuple[Job[Any], News]:
        spec = {
            "key": self._shipment.key,
            "function": self._shipment.function,
            "parallel": self._options.parallel,
            "deadline": self._options.deadline,
            "detached": self._options.detached,
            "args": list(args),
            "kwargs": kwargs,
            "streams": streams,
            "start_at": start_at,
            "quick": self._options.quick,
        }
        try:
            return self._poller.start(self._shipment, spec)
        except StateLost:
            if not self._options.stateless:
                raise
            return self._poller.start(self._shipment, spec)

"""A function that runs on a controller, as the caller sees it."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from rexec.remote._analysis import Shipment
from rexec.remote._errors import StateLost
from rexec.remote._jobs import Job, Stream

if TYPE_CHECKING:
    from rexec.remote._remote import Remote

P = ParamSpec("P")
R = TypeVar("R")


class RemoteFunction(Generic[P, R]):
    """A function that runs on a controller: call it, `submit` it as a job, or `stream` its items.

    Made by `Remote.function`, whose documentation has the options.
    """

    def __init__(
        self,
        remote: "Remote",
        function: Callable[P, R],
        shipment: Shipment,
        parallel: bool,
        stateless: bool,
        deadline: float | None,
        detached: bool,
    ) -> None:
        self._remote = remote
        self._shipment = shipment
        self._stateless = stateless
        self._spec = {
            "key": shipment.key,
            "function": shipment.function,
            "parallel": parallel,
            "deadline": deadline,
            "detached": detached,
            "start_at": None,
            "window": 0,
        }
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function there and return its value.

        Raises:
            StateLost: The controller was restarted since the last call.
            ConnectionError: It cannot be reached.
            Exception: What the function raised, with its traceback there as a note.

        """
        job = self.submit(*args, **kwargs)
        try:
            result: R = job.result()
        except BaseException:
            if not job.done():
                job.cancel()  # the caller was interrupted: so is the function
            raise
        return result

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Start the function as a job and return that."""
        job, news = self._start(0, args, kwargs, None)
        self._remote.follow(job, news)
        return job

    def submit_at(self, start_at: float, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Start the function at a time of the controller's clock, in seconds since the epoch."""
        job, news = self._start(0, args, kwargs, start_at)
        self._remote.follow(job, news)
        return job

    def stream(self, *args: P.args, **kwargs: P.kwargs) -> Stream:
        """Start a generator function and return the iterator of its items; it makes 8 at most in advance."""
        job, news = self._start(8, args, kwargs, None)
        self._remote.follow_stream(job)
        return Stream(self._remote, job, news)

    def _start(
        self, window: int, args: Any, kwargs: Any, start_at: float | None
    ) -> tuple[Job, dict[str, Any]]:
        spec = {**self._spec, "args": list(args), "kwargs": kwargs, "window": window, "start_at": start_at}
        try:
            return self._remote.start(self._shipment, spec)
        except StateLost:
            if not self._stateless:
                raise
            return self._remote.start(self._shipment, spec)


class RemoteDefinition(Generic[P, R]):
    """A function that is meant for controllers; made by the decorator `remote`."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.rexec_function = function
        functools.update_wrapper(self, function)

    def on(self, where: Any, **options: Any) -> RemoteFunction[P, R]:
        """Return the function on a controller.

        Args:
            where: A `Remote`, or any client with `add_code` and `call`.
            options: See `Remote.function`.

        """
        from rexec.remote import wrap

        return wrap(where).function(self.rexec_function, **options)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here."""
        return self.rexec_function(*args, **kwargs)


def remote(function: Callable[P, R]) -> RemoteDefinition[P, R]:
    """Mark a function as one for controllers: `function.on(device)` is the remote one.

    Args:
        function: Defined with `def` (decorator).

    """
    return RemoteDefinition(function)


remote.rexec_decorator = True  # type: ignore[attr-defined]

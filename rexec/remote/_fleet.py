"""Many controllers as one: the same function on all, together, or work spread over them."""

import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Generic, ParamSpec, TypeVar

from rexec.ground.clock import wall_clock
from rexec.ground.waits import done_within
from rexec.remote._analysis import analyse
from rexec.remote._errors import JobExpired, RemoteFunctionError
from rexec.remote._function import Options
from rexec.remote._html import fleet_html, results_html
from rexec.remote._jobs import Job
from rexec.remote._remote import Remote, wrap
from rexec.remote._workers import Workers

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
_log = logging.getLogger(__name__)
_LEAD: Final = 0.25
"""Seconds from the request to the common start, in which it must reach all controllers."""
_GRACE: Final = 15.0
"""Seconds after its deadline in which a device must have reported the end of the function."""
_FRESH: Final = 60.0
"""Seconds for which a clock's offset holds: clocks drift, and are set."""


class FleetError(RemoteFunctionError):
    """A function failed on some devices; the text names each, `errors` and `values` have the rest by device."""

    def __init__(self, results: "FleetResults[Any]") -> None:
        lines = [f"{name}: {type(error).__name__}: {error}" for name, error in results.errors.items()]
        total = len(results.values) + len(lines)
        super().__init__(f"failed on {len(lines)} of {total} devices\n  " + "\n  ".join(lines))
        self.values = results.values
        self.errors = results.errors
        self._results = results

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes it again: from the results, not from the text."""
        return FleetError, (self._results,)


@dataclass(frozen=True)
class FleetResults(Generic[R]):
    """The value or error of a function on each device.

    Args:
        values: By device.
        errors: By device.
        output: Lines that it printed or logged, by device.

    """

    values: dict[str, R]
    errors: dict[str, BaseException]
    output: dict[str, list[str]] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        return results_html(self)

    def all(self) -> dict[str, R]:
        """Return the values of all devices.

        Raises:
            FleetError: It failed on some; named.

        """
        if self.errors:
            raise FleetError(self)
        return self.values


class Fleet(concurrent.futures.Executor):
    """A laboratory's controllers; also a `concurrent.futures.Executor` that spreads calls over them.

    Args:
        devices: Remotes by name.

    """

    def __init__(self, devices: Mapping[str, Remote]) -> None:
        if not devices:
            raise ValueError("a fleet needs at least one device")
        self.devices = dict(devices)
        self._workers = Workers(self.devices)
        self._offsets: dict[str, tuple[float, float]] = {}

    def __repr__(self) -> str:
        return f"<Fleet of {', '.join(self.devices)}>"

    def _repr_html_(self) -> str:
        return fleet_html(self)

    def start(
        self, function: Callable[..., R], *args: Any, together: bool = False, **options: Any
    ) -> dict[str, Job[R] | BaseException]:
        """Start a function on every device; return the job, or the error of the start, by device.

        Args:
            function: See `Remote.function`.
            args: Positional arguments, the same everywhere.
            together: Start at one moment, by the controllers' clocks and their offsets.
            options: See `Remote.function`; `deadline` is that of each device.

        """
        until = _until(options.get("deadline"))
        function = getattr(function, "rexec_function", function)
        shipment = analyse(function)
        made = {
            name: remote.shipped(function, shipment, Options(**options)).one_of_many()
            for name, remote in self.devices.items()
        }
        if not together:
            return self._each(lambda name, remote: made[name].submit(*args), until=until)
        offsets = self._each(lambda name, remote: self._offset(name, remote), until=until)
        # Everything slow comes before the common start.
        armed = self._each(
            lambda name, remote: made[name].arm(*args),
            {name: self.devices[name] for name, each in offsets.items() if isinstance(each, float)},
            until=until,
        )
        begin = wall_clock() + _LEAD

        def go(name: str, remote: Remote) -> Job[R]:
            job: Job[R]
            job, early = armed[name](begin + offsets[name])
            if early < 0:
                _log.warning("%s heard of the common start %.3f s too late", name, -early)
            return job

        ready = {name: self.devices[name] for name, each in armed.items() if callable(each)}
        return {**offsets, **armed, **self._each(go, ready, until=until)}

    def call(self, function: Callable[..., R], *args: Any, **options: Any) -> FleetResults[R]:
        """Run a function on every device and wait for all; failures do not keep the others' values back.

        Args:
            function: See `Remote.function`.
            args: Positional arguments.
            options: See `start`.

        """
        values: dict[str, R] = {}
        errors: dict[str, BaseException] = {}
        output: dict[str, list[str]] = {}
        for name, job in self.as_completed(function, *args, **options):
            error = job if isinstance(job, BaseException) else _error(job)
            if error is not None:
                errors[name] = error
            if isinstance(job, Job):
                output[name] = list(job.output)
                if error is None:
                    values[name] = job.result()
        return FleetResults(self._ordered(values), self._ordered(errors), self._ordered(output))

    def _ordered(self, found: dict[str, T]) -> dict[str, T]:
        return {name: found[name] for name in self.devices if name in found}

    def as_completed(
        self, function: Callable[..., R], *args: Any, **options: Any
    ) -> Iterator[tuple[str, Job[R] | BaseException]]:
        """Run a function on every device; yield device and job, or the error of the start, as they end.

        Leaving the loop early, by an exception or an interruption, ends the jobs that still run.

        Args:
            function: See `Remote.function`.
            args: Positional arguments.
            options: See `start`.

        """
        until = _until(options.get("deadline"))
        started = self.start(function, *args, **options)
        names: dict[Future[R], str] = {job: name for name, job in started.items() if isinstance(job, Job)}
        try:
            yield from ((name, job) for name, job in started.items() if isinstance(job, BaseException))
            while names:
                done = done_within(names, _rest(until), concurrent.futures.FIRST_COMPLETED)
                if not done:
                    yield from ((name, _no_word(name)) for name in names.values())
                    names = {}
                for job in done:
                    yield names.pop(job), job  # type: ignore[misc]  # they are what start returned
        finally:
            left = {name: self.devices[name] for job, name in names.items() if not job.done()}
            if left:
                jobs = {name: job for job, name in names.items()}
                self._each(lambda name, remote: jobs[name].cancel(), left, until=time.monotonic() + _GRACE)

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function on whichever device is free first (`concurrent.futures.Executor`).

        A device that cannot be reached is left out from then on, with a warning.
        """
        return self._workers.submit(fn, *args, **kwargs)

    def clock_offsets(self) -> dict[str, float]:
        """Return how many seconds each controller's clock is ahead of this one's.

        A time stamp of a controller minus its offset is a time of this computer. Measured anew after a minute; good
        to half of what the fastest of eight exchanges took.

        Raises:
            ConnectionError: One cannot be reached.

        """
        found: dict[str, Any] = self._each(self._offset)
        for offset in found.values():
            if isinstance(offset, BaseException):
                raise offset
        return found

    def _offset(self, name: str, remote: Remote) -> float:
        offset, measured = self._offsets.get(name, (0.0, float("-inf")))
        if time.monotonic() - measured > _FRESH:
            offset = remote.clock_offset()
            self._offsets[name] = (offset, time.monotonic())
        return offset

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work by `submit`; the devices stay connected (`concurrent.futures.Executor`).

        Args:
            wait: Until what was submitted is done.
            cancel_futures: What has not begun is not begun; what runs is asked to end.

        """
        self._workers.shutdown(wait=wait, cancel=cancel_futures)

    def _each(
        self,
        do: Callable[[str, Remote], Any],
        devices: Mapping[str, Remote] | None = None,
        *,
        until: float | None = None,
    ) -> dict[str, Any]:
        """Do something on every device at the same time; return its value or error by device."""
        futures: dict[str, Future[Any]] = {}
        for name, remote in (self.devices if devices is None else devices).items():
            futures[name] = Future()
            # Daemons: a controller that hangs does not keep the program from ending.
            threading.Thread(
                target=_do, args=(futures[name], do, name, remote), name=f"rexec {name} ask", daemon=True
            ).start()
        done = done_within(futures.values(), _rest(until))
        return {
            name: (_error(future) or future.result()) if future in done else _no_word(name)
            for name, future in futures.items()
        }


def fleet(devices: Mapping[str, Any]) -> Fleet:
    """Return many controllers as one.

    Args:
        devices: A `Remote`, or any client with `add_code` and `call`, by name.

    """
    return Fleet({name: wrap(client, name) for name, client in devices.items()})


def _do(future: Future[Any], do: Callable[[str, Remote], Any], name: str, remote: Remote) -> None:
    try:
        future.set_result(do(name, remote))
    except BaseException as error:
        future.set_exception(error)


def _until(deadline: float | None) -> float | None:
    return None if deadline is None else time.monotonic() + deadline + _GRACE


def _rest(until: float | None) -> float | None:
    return None if until is None else max(0.0, until - time.monotonic())


def _no_word(name: str) -> JobExpired:
    return JobExpired(f"{name}: no answer {_GRACE:g} s after the deadline: does its controller hang?")


def _error(future: Future[Any]) -> BaseException | None:
    """Return how a future failed, once it has ended; a cancelled one too."""
    try:
        return future.exception()
    except concurrent.futures.CancelledError as error:
        return error

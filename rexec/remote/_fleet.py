"""Many controllers as one: the same function on all, together, or work spread over them."""

import concurrent.futures
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from rexec.remote._analysis import analyse
from rexec.remote._errors import RemoteFunctionError
from rexec.remote._jobs import Job
from rexec.remote._remote import Remote

_LEAD: Final = 0.25
"""Seconds from the request for a common start to that start: all controllers must have heard of it by then."""


class FleetError(RemoteFunctionError):
    """A function failed on some devices; the text names each, `errors` and `values` have the rest by device."""

    def __init__(self, results: "FleetResults") -> None:
        lines = [f"{name}: {type(error).__name__}: {error}" for name, error in results.errors.items()]
        total = len(results.values) + len(lines)
        super().__init__(f"failed on {len(lines)} of {total} devices\n  " + "\n  ".join(lines))
        self.values = results.values
        self.errors = results.errors


@dataclass(frozen=True)
class FleetResults:
    """What a function gave on each device: its value, or its error.

    Args:
        values: By device.
        errors: By device.

    """

    values: dict[str, Any]
    errors: dict[str, BaseException]

    def all(self) -> dict[str, Any]:
        """Return the values of all devices.

        Raises:
            FleetError: It failed on some; named.

        """
        if self.errors:
            raise FleetError(self)
        return self.values


class Fleet(Executor):
    """A laboratory's controllers; also a `concurrent.futures.Executor` that spreads calls over them.

    Args:
        devices: Remotes by name.

    """

    def __init__(self, devices: Mapping[str, Remote]) -> None:
        if not devices:
            raise ValueError("a fleet needs at least one device")
        self.devices = dict(devices)
        self._threads = ThreadPoolExecutor(len(self.devices), "rexec fleet")
        self._running: dict[str, set[Job]] = {name: set() for name in self.devices}
        self._offsets: dict[str, float] = {}

    def start(
        self, function: Callable[..., Any], *args: Any, together: bool = False, **options: Any
    ) -> dict[str, Job | BaseException]:
        """Start a function on every device; return its job, or what prevented it, by device.

        Args:
            function: See `Remote.function`.
            args: Positional arguments, the same everywhere.
            together: Start at one moment, by the controllers' clocks and their offsets.
            options: See `Remote.function`; `deadline` is that of each device.

        """
        offsets = self.clock_offsets() if together else {}
        function = getattr(function, "rexec_function", function)
        shipment = analyse(function)
        shipped = {
            name: remote.function(function, shipment=shipment, **options)
            for name, remote in self.devices.items()
        }
        begin = time.time() + _LEAD

        def start(name: str, remote: Remote) -> Job:
            made = shipped[name]
            return made.submit_at(begin + offsets[name], *args) if together else made.submit(*args)

        return self._each(start)

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> FleetResults:
        """Run a function on every device and wait for all; failures do not keep the others' values back.

        Args:
            function: See `Remote.function`.
            args: Positional arguments.
            options: See `start`.

        """
        values, errors = {}, {}
        for name, job in self.start(function, *args, **options).items():
            error = job if isinstance(job, BaseException) else _error(job)
            if error is not None:
                errors[name] = error
            elif isinstance(job, Job):
                values[name] = job.result()
        return FleetResults(values, errors)

    def as_completed(
        self, function: Callable[..., Any], *args: Any, **options: Any
    ) -> Iterator[tuple[str, Job | BaseException]]:
        """Run a function on every device; yield device and job, or what prevented it, as they end."""
        started = self.start(function, *args, **options)
        names = {job: name for name, job in started.items() if isinstance(job, Job)}
        yield from ((name, job) for name, job in started.items() if isinstance(job, BaseException))
        for job in concurrent.futures.as_completed(names):
            if isinstance(job, Job):
                yield names[job], job

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job:
        """Run a function on whichever device has least to do (`concurrent.futures.Executor`)."""
        name = min(self._running, key=lambda each: len(self._running[each]))
        running = self._running[name]
        job = self.devices[name].function(fn).submit(*args, **kwargs)
        running.add(job)
        job.add_done_callback(lambda done: running.discard(job))
        return job

    def clock_offsets(self) -> dict[str, float]:
        """Return how many seconds each controller's clock is ahead of this one's.

        Raises:
            ConnectionError: One cannot be reached.

        """
        new = {name: remote for name, remote in self.devices.items() if name not in self._offsets}
        for name, offset in self._each(lambda name, remote: remote.clock_offset(), new).items():
            if isinstance(offset, BaseException):
                raise offset
            self._offsets[name] = offset
        return dict(self._offsets)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads of this side; the devices stay connected (`concurrent.futures.Executor`)."""
        for job in [job for jobs in self._running.values() for job in list(jobs)]:
            if cancel_futures:
                job.cancel()
            if wait:
                _error(job)
        self._threads.shutdown(wait)

    def _each(
        self, do: Callable[[str, Remote], Any], devices: Mapping[str, Remote] | None = None
    ) -> dict[str, Any]:
        """Do something on every device at the same time; return its value or error by device."""
        futures = {
            name: self._threads.submit(do, name, remote)
            for name, remote in (self.devices if devices is None else devices).items()
        }
        return {name: _error(future) or future.result() for name, future in futures.items()}


def _error(future: concurrent.futures.Future[Any]) -> BaseException | None:
    """Return how a future failed, once it has ended; a cancelled one too."""
    try:
        return future.exception()
    except concurrent.futures.CancelledError as error:
        return error

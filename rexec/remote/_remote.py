"""Remote functions on one controller."""

import atexit
import functools
import types
import weakref
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from rexec.ground.clock import wall_clock
from rexec.ground.sent_sources import note_sent
from rexec.remote._analysis import analyse
from rexec.remote._channel import Channel
from rexec.remote._errors import RemoteClosed
from rexec.remote._function import Options, RemoteFunction
from rexec.remote._html import remote_html
from rexec.remote._jobs import Job
from rexec.remote._poller import Poller
from rexec.remote._shipment import Shipment
from rexec.remote._shipper import Shipper
from rexec.wire.errors import MessageTooLong

P = ParamSpec("P")
R = TypeVar("R")
_OPEN: "Final[weakref.WeakSet[Remote]]" = weakref.WeakSet()
_WRAPPED: "Final[dict[int, Remote]]" = {}
"""By the id of the client: two remotes with one client would take each other's answers."""


class Remote:
    """Runs functions beside the driver of a controller, of any make.

    Args:
        client: Has `add_code` and `call`: a client of a `NAME_rexec` target, of this or the reference library. Use it
            through this object from now on: its other attributes are here, too.
        name: Device, for messages and logs.
        lease: Seconds without a word from here after which the controller ends the jobs of this client.
        reconnect: Returns a new client after a broken connection; ours connects again by itself.

    """

    def __init__(
        self,
        client: Any,
        name: str | None = None,
        *,
        lease: float = 30.0,
        reconnect: Callable[[], Any] | None = None,
    ) -> None:
        self.name = name or client_name(client)
        self._channel = Channel(client, self.name, lease, reconnect)
        self._shipper = Shipper(self._channel)
        self._poller = Poller(self._channel, self._shipper)
        _OPEN.add(self)

    def function(
        self,
        function: Callable[P, R],
        *,
        parallel: bool = False,
        stateless: bool = False,
        deadline: float | None = None,
        detached: bool = False,
    ) -> RemoteFunction[P, R]:
        """Return a function that runs on the controller.

        Its source is sent once, with the imports, helpers, classes, constants and closed-over values it uses. It sees
        `controller_driver` and whatever else the controller provides, and its own `job`.

        Args:
            function: Defined with `def`.
            parallel: Run beside other remote functions; by default they have the driver in turns, a stream between
                its items included.
            stateless: Nothing it needs is kept on the controller between calls: after a restart of the controller it
                is called again without a `StateLost`.
            deadline: Seconds after which a call is to end.
            detached: Jobs go on when this client has gone; their results are kept for a day.

        Raises:
            CannotTravel: Something it uses cannot be sent; named, with its line.

        """
        function = getattr(function, "rexec_function", function)
        return self.shipped(function, analyse(function), Options(parallel, stateless, deadline, detached))

    def shipped(self, function: Callable[P, R], shipment: Shipment, options: Options) -> RemoteFunction[P, R]:
        """Return a function whose needs `analyse` has found before, where it goes to many controllers.

        :meta private:
        """
        return RemoteFunction(self._poller, function, shipment, options)

    def add_module(self, module: types.ModuleType) -> None:
        """Send a whole module: remote functions of this client can import it under its own name.

        Args:
            module: Of one file. Modules of the same folder that it imports are sent as well.

        Raises:
            CannotTravel: It has no source, or is a package.

        """
        self._shipper.ship_module(module)

    def add_code(self, code: str) -> None:
        """Run source text in the namespace of this connection, as the client's `add_code` does.

        Args:
            code: Python source.

        """
        self._channel.in_turn(lambda client: client.add_code(code))
        note_sent(code)

    def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function that `add_code` has defined there; large arguments reach a stock server in pieces.

        Args:
            function: Its name.
            args: Its positional arguments.
            kwargs: Its keyword arguments.

        """
        try:
            return self._channel.in_turn(lambda client: client.call(function, *args, **kwargs))
        except MessageTooLong:
            return self._channel.call(function, args, kwargs)

    def job(self, job_id: str) -> Job[Any]:
        """Return a job again, after a reconnect or from another process.

        Args:
            job_id: Its `id`.

        Raises:
            LookupError: The controller knows none of that id.

        """
        found = {each["id"]: each for each in self.jobs()}
        if job_id not in found:
            raise LookupError(f"{self.name} has no job {job_id!r}; it has {', '.join(found) or 'none'}")
        job: Job[Any] = Job(self._channel, job_id, found[job_id]["name"])
        self._poller.find(job)
        return job

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs on the controller: id, name, state and progress of each."""
        found: list[dict[str, Any]] = self._channel.request("jobs")
        return found

    @property
    def active_jobs(self) -> list[Job[Any]]:
        """Jobs of this client, started in this process, that have not ended; those of streams included."""
        return [] if self._channel.inherited else self._poller.active

    @property
    def silence(self) -> float:
        """Seconds for which an answer of the controller has been waited for; 0 if none is."""
        return self._channel.silence

    def clock_offset(self, samples: int = 8) -> float:
        """Return the seconds by which the controller's clock is ahead of this one's.

        Args:
            samples: Number of exchanges, of which the fastest one counts.

        """
        best = (float("inf"), 0.0)
        for _ in range(samples):
            before = wall_clock()
            there = self._channel.request("clock")
            after = wall_clock()
            best = min(best, (after - before, there - (before + after) / 2))
        return best[1]

    def close_rpc(self) -> None:
        """End this client's jobs on the controller, and the connection; their futures fail, those of detached jobs too.

        A controller that is gone delays this by a few seconds at most.
        """
        if self._channel.closed:
            return
        _OPEN.discard(self)
        for key in [key for key, each in _WRAPPED.items() if each is self]:
            _WRAPPED.pop(key, None)
        error = RemoteClosed(f"{self.name}: the remote is closed")
        # Before the controller hears of it: news that it has ended them may come first, with another error.
        self._poller.fail(error)
        try:
            self._channel.leave()
        finally:
            self._poller.stop(5.0)
            self._poller.fail(error)  # those started meanwhile

    def __repr__(self) -> str:
        return f"<Remote {self.name}: {self._channel.client!r}>"

    def _repr_html_(self) -> str:
        return remote_html(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "_repr_", "_ipython_")) or "_channel" not in self.__dict__:
            raise AttributeError(name)
        attribute = getattr(self._channel.client, name)
        if not callable(attribute):
            return attribute

        @functools.wraps(attribute)
        def in_turn(*args: Any, **kwargs: Any) -> Any:
            return self._channel.in_turn(lambda client: getattr(client, name)(*args, **kwargs))

        return in_turn

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close_rpc()

    @property
    def busy(self) -> bool:
        """Whether jobs or streams of this client, started in this process, run."""
        return self._poller.busy and not self._channel.inherited


def open_remotes() -> list[Remote]:
    """Return the remotes of this process that are not closed."""
    return list(_OPEN)


def client_name(client: Any) -> str:
    """Return what to call a device whose name is not given: its target."""
    try:
        return str(client.get_selected_target())
    except AttributeError:
        return "controller"


def wrap(
    client: Any,
    name: str | None = None,
    *,
    lease: float = 30.0,
    reconnect: Callable[[], Any] | None = None,
) -> Remote:
    """Return remote functions on any client that has `add_code` and `call`; of one client always the same.

    Args:
        client: Of this or the reference library, as ARTIQ's own `get_device` returns it too.
        name: Device, for messages and logs.
        lease: Seconds without a word from here after which the controller ends the jobs of this client.
        reconnect: Returns a new client after a broken connection; ours connects again by itself.

    """
    if isinstance(client, Remote):
        return client
    if id(client) not in _WRAPPED:
        _WRAPPED[id(client)] = Remote(client, name, lease=lease, reconnect=reconnect)
    return _WRAPPED[id(client)]


@atexit.register
def _end_jobs_of_a_program_that_ends() -> None:
    """End jobs at once, instead of when their lease has run out."""
    for remote in list(_OPEN):
        if remote.busy:
            remote.close_rpc()

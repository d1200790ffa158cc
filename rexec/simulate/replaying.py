"""Remote execution of a recorded controller: recorded calls are answered, other code runs on the replayed driver."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

from rexec.record.recording import Replayer, call_text, remote_name
from rexec.record.remote_calls import RemoteCall, SentSources
from rexec.remote_exec import RemoteExecServer
from rexec.simulate.driver import Replay
from rexec.simulate.errors import NotRecorded

logger = logging.getLogger(__name__)

_REQUEST: Final = "_rexec_request"
_AGENT: Final = "_rexec_agent_"


class ReplayingRexec(RemoteExecServer):
    """The namespace of one connection.

    A call of a remote function that was recorded, with this source and these arguments, gets its recorded output, items
    and outcome; nothing of it runs. Other code runs on the replayed driver. If that asks for something unrecorded in a
    plain `call`, the recorded answer of the whole call is returned.

    Args:
        initial_namespace: As of the base.
        replay: The recorded calls of the remote execution target.
        remote: The recorded calls of remote functions; None: there are none.
        timing: Whether answers take as long as they took.

    """

    def __init__(
        self, initial_namespace: dict[str, Any], replay: Replay, remote: Replayer | None, timing: bool
    ) -> None:
        super().__init__(initial_namespace)
        self._replay = replay
        self._remote = remote
        self._timing = timing
        # What clients have sent for functions that were replayed: kept until one of them really runs.
        self._unsent: dict[str, list[Any]] = {}
        self._sent: dict[str, SentSources] = {}

    def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function as the base does, or answer as it was recorded."""
        if function == _REQUEST and self._remote is not None:
            args = self._put_together(*args)
            if args[1] == "submit":
                args = self._submitted(self._remote, *args)
        try:
            return super().call(function, *args, **kwargs)
        except NotRecorded as error:
            found, value = self._replay.answer("call", (function, *args), kwargs)
            if not found:
                raise
            logger.info("%s(): answered from the recording, since %s", function, error)
            return value

    def _agent(self) -> Any:
        """Return the agent, which a request has shown to be there."""
        namespace = self.namespace["controller_initial_namespace"]
        return next(value for name, value in namespace.items() if name.startswith(_AGENT))

    def _put_together(self, session: str, action: str, payload: Any, *hello: Any) -> tuple[Any, ...]:
        """Return a request that starts a job as one request where its arguments came in pieces; any other as it is."""
        if (action, payload) == ("whole", "submit"):
            agent = self._agent()
            if session in agent.tenants:
                with contextlib.suppress(ValueError):  # a piece is missing: the agent says so
                    return (session, "submit", agent.whole(agent.tenants[session]), *hello)
        return (session, action, payload, *hello)

    def _submitted(
        self, remote: Replayer, session: str, action: str, spec: dict[str, Any], *hello: Any
    ) -> tuple[Any, ...]:
        """Return a request that starts a job, so that the job replays where it was recorded."""
        super().call(_REQUEST, session, "jobs_alive", None, *hello)  # the agent knows the client from here on
        agent = self._agent()
        tenant = agent.tenants.get(session)
        if tenant is None or spec["id"] in tenant.jobs:
            return (session, action, spec, *hello)
        sources = self._sent.setdefault(session, SentSources())
        sources.take(spec["bundles"])
        name = remote_name(spec["function"], sources.of(spec))
        found, recorded = remote.answer(name, spec["args"], spec["kwargs"])
        unsent = self._unsent.setdefault(session, [])
        unsent += spec["bundles"]
        key = f"replay {spec['id']}"
        current = type(agent).__init__.__globals__["LOCAL"]
        if not found:
            self._unsent[session] = []
            text = call_text(spec["function"], spec["args"], spec["kwargs"])
            known = ", ".join(remote.recorded())
            told = f"{text} was not recorded: it runs on the replayed driver. Recorded are: {known}"
            original = tenant.workspace.namespaces
            tenant.workspace.namespaces[key] = {
                spec["function"]: _telling(
                    told, lambda: original[spec["key"]][spec["function"]], lambda: current.job
                )
            }
            return (session, action, {**spec, "key": key, "bundles": unsent}, *hello)
        replays = _stream if spec["streams"] else _plain
        tenant.workspace.namespaces[key] = {
            spec["function"]: replays(recorded, lambda: current.job, self._timing)
        }
        return (session, action, {**spec, "key": key, "bundles": [], "wanted": []}, *hello)


def _telling(text: str, original: Callable[[], Any], job: Callable[[], Any]) -> Callable[..., Any]:
    """Return a function that tells the caller something, and then does what another one does."""

    def told(*args: Any, **kwargs: Any) -> Any:
        job().event(logging.WARNING, __name__, text)
        return original()(*args, **kwargs)

    return told


def _plain(recorded: RemoteCall, job: Callable[[], Any], timing: bool) -> Callable[..., Any]:
    """Return a function that ends as a recorded one has."""

    def replayed(*args: Any, **kwargs: Any) -> Any:
        running = job()
        if timing:
            running.sleep(max(recorded.ended - recorded.began, 0.0))
        _tell(recorded, running)
        return _end(recorded, running)

    return replayed


def _stream(recorded: RemoteCall, job: Callable[[], Any], timing: bool) -> Callable[..., Any]:
    """Return a generator function that yields what a recorded one has."""
    pause = max(recorded.ended - recorded.began, 0.0) / (len(recorded.items) + 1) if timing else 0.0

    def replayed(*args: Any, **kwargs: Any) -> Iterator[Any]:
        running = job()
        _tell(recorded, running)
        for item in recorded.items:
            if pause:
                running.sleep(pause)
            yield item
        if not _ended_by_itself(recorded):
            running.give_driver()
            # A client that has all of them asks for more.
            running.wait(lambda: None if running.items.held else 0)
            raise NotRecorded(
                f"{recorded.function}: its client took {len(recorded.items)} items when it was recorded"
            )
        _end(recorded, running)

    return replayed


def _tell(recorded: RemoteCall, running: Any) -> None:
    for _, _, level, name, text in recorded.events:
        running.event(level, name, text)
    running.fraction = recorded.progress
    running.tell_followers()


def _ended_by_itself(recorded: RemoteCall) -> bool:
    return recorded.outcome is not None and recorded.outcome.get("cancelled", "deadline") == "deadline"


def _end(recorded: RemoteCall, running: Any) -> Any:
    outcome = recorded.outcome or {}
    if not _ended_by_itself(recorded):
        running.event(
            logging.WARNING,
            __name__,
            f"{recorded.function} runs until it is cancelled, as when it was recorded",
        )
        running.wait(lambda: None)
    if "value" in outcome:
        return outcome["value"]
    running.finish(outcome)
    return None

"""Calls of remote functions in a recording, put together from what clients and the agent said."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rexec.remote.agent.assembly import Builder

Bundles = Iterable[Mapping[str, Any]]


@dataclass
class RemoteCall:
    """One call of a remote function.

    Attributes:
        function: Its name.
        source: Its source text, "" if the recording does not have it.
        args, kwargs: What it was called with.
        events: Its output: number, time, level, logger's name and text of each line.
        items: What it yielded, as a stream.
        progress: What it told last.
        outcome: How it ended, as the agent said; None if the recording ended before.
        began, ended: Seconds since the recording began.

    """

    function: str
    source: str
    args: list[Any]
    kwargs: dict[str, Any]
    began: float
    events: list[Any] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    progress: tuple[float, str] = (0.0, "")
    outcome: dict[str, Any] | None = None
    ended: float = 0.0

    def take(self, news: Mapping[str, Any], at: float) -> None:
        """Take what the agent told of it; what it tells again is not taken again."""
        known = self.events[-1][0] if self.events else 0
        self.events += [event for event in news["events"] if event[0] > known]
        self.items += news["items"][max(len(self.items) - news["first_item"], 0) :]
        self.progress = tuple(news["progress"])
        if self.outcome is None:
            self.outcome, self.ended = news["outcome"], at


class SentSources:
    """The source text of the functions that one client has sent."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str], str] = {}

    def take(self, bundles: Bundles) -> None:
        """Note what was sent."""
        for bundle in bundles:
            for name, _, text in bundle.get("pieces", ()):
                self._texts[bundle["key"], name] = text

    def of(self, spec: Mapping[str, Any]) -> str:
        """Return the text of the function that a request starts."""
        return self._texts.get((spec["key"], spec["function"]), "")


class _HeardSession:
    """What one client has said to the agent."""

    def __init__(self) -> None:
        self.calls: dict[str, RemoteCall] = {}
        self.sources = SentSources()
        self.builder = Builder()


def remote_calls(records: Iterable[Mapping[str, Any]]) -> list[RemoteCall]:
    """Return the calls of remote functions in the records of a remote execution target, in the order of their starts.

    Requests of another release of the agent, which look otherwise, are left out.
    """
    sessions: dict[str, _HeardSession] = {}
    for record in records:
        ret = record.get("ret")
        if record["name"] == "call" and record["args"][0] == "_rexec_request" and isinstance(ret, dict):
            _, session, action, payload, *_ = record["args"]
            try:
                _take(sessions.setdefault(session, _HeardSession()), action, payload, ret.get("ok"), record)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError):
                continue
    found = [call for session in sessions.values() for call in session.calls.values()]
    return sorted(found, key=lambda call: call.began)


def _take(session: _HeardSession, action: str, payload: Any, answer: Any, record: Mapping[str, Any]) -> None:
    at = record["began"] + record["seconds"]
    if action == "piece":
        if payload[0]:
            session.builder = Builder()
        session.builder.take(payload[1])
    elif action == "whole":
        _take(session, payload, session.builder.value(), answer, record)
    elif action == "ship":
        session.sources.take(payload)
    elif action == "submit" and "state" in answer:
        session.sources.take(payload["bundles"])
        call = RemoteCall(
            payload["function"],
            session.sources.of(payload),
            payload["args"],
            payload["kwargs"],
            record["began"],
        )
        session.calls.setdefault(payload["id"], call).take(answer, at)
    elif action == "poll" and answer is not None:
        session.calls[payload[0]].take(answer, at)
    elif action == "news":
        for name, news in answer[1]:
            if news is not None and name in session.calls:
                session.calls[name].take(news, at)

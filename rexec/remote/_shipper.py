"""Sends what functions need to a controller: each thing once, and again when it has changed."""

import inspect
import sys
import types
from hashlib import sha256
from typing import Any

from rexec.ground.sent_sources import note_sent
from rexec.remote._channel import Channel
from rexec.remote._errors import CannotTravel, RemoteFunctionError
from rexec.remote._shipment import Name, Shipment
from rexec.remote._source import is_local
from rexec.wire.call_lock import CallLock


class Shipper:
    """Knows what one client has sent to a controller.

    Args:
        channel: To the controller's agent.

    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._known: tuple[str | None, dict[Name, str]] = (channel.state, {})
        """State of the agent, and the digest of each thing that is there in that state; replaced whole."""
        self._lock = CallLock(f"a request to {channel.where}", RemoteFunctionError)

    @property
    def _there(self) -> dict[Name, str]:
        """What is there, if the agent has not been restarted since."""
        state, there = self._known
        return there if state == self._channel.state else {}

    def _learn(self, before: str | None, digests: dict[Name, str]) -> None:
        """Note what a request has sent, unless the agent was restarted meanwhile."""
        state = self._channel.state
        if before in (None, state):
            self._known = state, self._there | digests

    def submit(self, shipment: Shipment, spec: dict[str, Any]) -> dict[str, Any]:
        """Start a job; send with that what its function needs and is not there yet. Return the job's news.

        Raises:
            CannotTravel: The controller lacks what the function expects of it.
            Exception: See `Channel.request`.

        """
        # One at a time, so that a function finds the version of things that it was sent with.
        with self._lock:
            state = self._channel.state
            bundles, digests = self._news(shipment)
            wanted = list(shipment.wanted) if bundles else []
            news: dict[str, Any] = self._channel.request(
                "submit", {**spec, "bundles": bundles, "wanted": wanted}
            )
            if "missing" in news:
                where = self._channel.where
                raise CannotTravel(
                    "; ".join(
                        f"{shipment.wanted[name]}: {name} is neither defined here nor by {where}"
                        for name in news["missing"]
                    )
                )
            self._learn(state, digests)
        _note(bundles)
        return news

    def ship_module(self, module: types.ModuleType) -> None:
        """Send a whole module, those of its folder that it imports before it.

        Raises:
            CannotTravel: It has no source, or is a package.

        """
        with self._lock:
            self._channel.leave_the_parent_alone()
            state = self._channel.state
            digests: dict[Name, str] = {}
            bundles = self._modules([module], digests)
            if bundles:
                self._channel.request("ship", bundles)
                self._learn(state, digests)
        _note(bundles)

    def _news(self, shipment: Shipment) -> tuple[list[dict[str, Any]], dict[Name, str]]:
        """Return the parts of a shipment that are missing there or differ, and all digests."""
        digests: dict[Name, str] = {}
        bundles = self._modules(shipment.modules, digests)
        code = [part for bundle in shipment.bundles for part in bundle.code]
        values = [part for bundle in shipment.bundles for part in bundle.data()]
        digests |= {part.name: part.digest for part in (*code, *values)}
        # Definitions that refer to a changed one (by `from … import`, as a base class, in a default) are sent again.
        changed = any(self._there.get(name, digest) != digest for name, digest in digests.items())
        new = {name for name, digest in digests.items() if self._there.get(name) != digest}
        for bundle in shipment.bundles:
            parts = [part for part in bundle.code if changed or part.name in new]
            parts += [part for part in bundle.data() if part.name in new]
            if parts:
                bundles.append(bundle.message(parts))
        return bundles, digests

    def _modules(self, modules: list[types.ModuleType], digests: dict[Name, str]) -> list[dict[str, Any]]:
        """Return whole modules that are not there yet, each after those of its folder that it imports."""
        found: list[dict[str, Any]] = []
        seen: set[str] = set()

        def add(module: types.ModuleType) -> None:
            if module.__name__ in seen:
                return
            seen.add(module.__name__)
            for value in list(vars(module).values()):
                name = (
                    value.__name__
                    if isinstance(value, types.ModuleType)
                    else getattr(value, "__module__", None)
                )
                other = sys.modules.get(name) if isinstance(name, str) else None
                if other is not None and other is not module and is_local(other):
                    add(other)
            text, file = module_source(module)
            key: Name = (module.__name__, "module")
            digests[key] = sha256(text.encode("utf-8", "replace")).hexdigest()
            if self._there.get(key) != digests[key]:
                found.append({"module": module.__name__, "file": file, "text": text})

        for module in modules:
            add(module)
        return found


def _note(bundles: list[dict[str, Any]]) -> None:
    """Tell the run of the source text in what was sent."""
    for bundle in bundles:
        pieces = "\n\n".join(source for _, _, source in bundle.get("pieces", []))
        if text := bundle.get("text", pieces):
            note_sent(f"# {bundle['file']}\n{text}")


def module_source(module: types.ModuleType) -> tuple[str, str]:
    """Return source text and file of a module.

    Raises:
        CannotTravel: It has no source, or is a package.

    """
    if hasattr(module, "__path__"):
        raise CannotTravel(
            f"{module.__name__} is a package: install it on the controller, or send its modules"
        )
    try:
        return inspect.getsource(module), inspect.getfile(module)
    except (OSError, TypeError) as error:
        raise CannotTravel(f"the source of {module.__name__} cannot be found: {error}") from None

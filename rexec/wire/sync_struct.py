"""Structures that others follow: a publisher sends every change of a structure to its subscribers."""

from collections.abc import Callable, Iterable
from typing import Any

from rexec.wire._notifier import Callback, Mod, ModAction, Notifier, process_mod, update_from_dict
from rexec.wire._publisher import BANNER, Publisher
from rexec.wire._stream_client import Follower
from rexec.wire.tls import SimpleSSLConfig

__all__ = ["Mod", "ModAction", "Notifier", "Publisher", "Subscriber", "process_mod", "update_from_dict"]


class Subscriber(Follower):
    """Follows a structure of a publisher.

    Args:
        notifier_name: Name of the notifier.
        target_builder: Called with the whole structure at first (and after a gap); returns what changes are then
            applied to: the structure itself, or something with the same methods.
        notify_cb: Called with each modification after it was applied; a function or several.
        disconnect_cb: Called when the connection is lost.
        limit: Longest message in bytes; None for any length.

    """

    def __init__(
        self,
        notifier_name: str,
        target_builder: Callable[[Any], Any],
        notify_cb: Callback | Iterable[Callback] | None = None,
        disconnect_cb: Callable[[], Any] | None = None,
        *,
        limit: int | None = None,
    ) -> None:
        super().__init__(f"subscriber to {notifier_name!r}", notify_cb or [], disconnect_cb, limit)
        self.notifier_name = notifier_name
        self.target_builder = target_builder
        self._target: Any = None

    async def connect(
        self,
        host: str,
        port: int,
        before_receive_cb: Callable[[], Any] | None = None,
        ssl_config: SimpleSSLConfig | None = None,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - part of the error's text
    ) -> None:
        """Connect; changes are applied from then on by the event loop.

        Args:
            host: Name or address.
            port: TCP port.
            before_receive_cb: Called when connected, before anything is received.
            ssl_config: TLS, if any.
            timeout: Longest time for connecting, in seconds.

        Raises:
            ConnectionFailed: No connection could be made.

        """
        first = BANNER + self.notifier_name.encode("ascii") + b"\n"
        await self._follow(host, port, ssl_config, timeout, first, self._received, before_receive_cb)

    def _received(self, mod: Any) -> None:
        if not isinstance(mod, dict) or "action" not in mod:
            raise ValueError(f"no modification: {mod!r:.80}")
        if mod["action"] == ModAction.init.value:
            self._target = self.target_builder(mod["struct"])
        else:
            process_mod(self._target, mod)
        self._notify(mod)

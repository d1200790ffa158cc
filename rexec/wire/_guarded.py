"""Where a server asks its guard: before it makes a client's target, and before each request."""

import logging
import re
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from rexec.access.guard import AccessGuard
from rexec.access.rights import Right
from rexec.wire._call_queue import Answer
from rexec.wire._pieces import Piece
from rexec.wire._server_connection import ServerConnection
from rexec.wire._targets import is_remote_execution, made, made_by, method_names, needed_right

_log = logging.getLogger(__name__)
_FAILED: Final = re.compile(rb'(?:#[\d,]+ )?\{"status":"failed"(?:[^{]*\{"class":\s*"([^"]*)")?')
"""Beginning of the answer that says that a call raised, in both versions of PYON."""
_ENOUGH: Final = 4096
_MOST_METHODS: Final = 1000
_REXEC_METHODS: Final = frozenset({"add_code", "call"})


class NotMade:
    """Stands for the target of a client that may do nothing with it.

    Args:
        needed: The right that this takes.

    """

    def __init__(self, needed: Right) -> None:
        self.needed = needed


def make_target(
    guard: AccessGuard | None, connection: ServerConnection, target: Any, *, terminate: bool
) -> set[str]:
    """Make the target of a connection, unless the client may do nothing with it; return the names of its methods.

    Raises:
        RuntimeError: The factory raised something that is no Exception.
        Exception: What it raised.

    """
    if guard is not None:
        _ = connection.identity  # looked up while the client waits, not when another may have its port
    if callable(target):
        kind = made_by(target)
        needed = Right.REXEC if kind is not None and is_remote_execution(kind) else Right.READ
        if guard is not None and not guard.allows(connection, needed):
            # The factory is code of the controller. Each request of this connection will be refused, with the reason.
            connection.target = NotMade(needed)
            return set(_REXEC_METHODS) if kind is None else method_names(kind, terminate=terminate)
        target = made(target)
    connection.target = target
    return method_names(target, terminate=terminate)


def admit(guard: AccessGuard, connection: ServerConnection, request: dict[str, Any]) -> None:
    """Refuse a request that the client has no right to.

    Raises:
        PermissionError: It has not.

    """
    action, name, target = request.get("action"), request.get("name"), connection.target
    # The marks of a method are looked up once a connection, which costs a fifth of a small call.
    needed = connection.needed.get(name) if action == "call" and type(name) is str else None
    if needed is None:
        needed = target.needed if isinstance(target, NotMade) else needed_right(target, request)
        if action == "call" and type(name) is str and len(connection.needed) < _MOST_METHODS:
            connection.needed[name] = needed
    if not guard.allows(connection, needed):
        raise guard.refused(connection, _what(request), needed)
    if isinstance(target, NotMade):
        raise PermissionError("the right was given after this connection was made: connect again")
    if needed is Right.REXEC and action == "call" and name == "add_code":
        guard.admit_code(connection, _source(request), "add_code")


def _what(request: dict[str, Any]) -> str:
    """Return what a request asks for, after "may not"."""
    if request.get("action") == "call":
        return f"call {_text(request.get('name')):.100}()"
    return "ask about leases" if request.get("action") == "lease" else "use the method list"


def _source(request: dict[str, Any]) -> str:
    """Return the code in a request to run some."""
    args, kwargs = request.get("args") or (), request.get("kwargs") or {}
    code: Any = args[0] if args else kwargs.get("code")
    if isinstance(code, str):
        return code
    try:  # Python runs bytes and arrays of them, too
        return bytes(memoryview(code)).decode("utf-8", "backslashreplace")
    except TypeError:
        return repr(code)


def note_arrival(guard: AccessGuard | None, connection: ServerConnection) -> None:
    """Record that a client has chosen a target."""
    if guard is not None:
        guard.record_arrival(connection)
    if _log.isEnabledFor(logging.INFO):
        _log.info("%s: target %s: %s", connection.peer, connection.target_name, connection.identity)


def recorded_now(
    guard: AccessGuard | None,
    connection: ServerConnection,
    request: Any,
    carry_out: Callable[[ServerConnection, Any], list[Piece]],
) -> list[Piece]:
    """Carry out a request that needs no turn, and record its outcome where calls are recorded."""
    began = time.monotonic()
    answer = carry_out(connection, request)
    if guard is not None and guard.records_calls:
        _record(guard, connection, request, answer, began)
    return answer


def recorded(
    guard: AccessGuard | None,
    connection: ServerConnection,
    request: Any,
    carry_out: Callable[[ServerConnection, Any], Answer],
) -> Answer:
    """Carry out a request, and record its outcome where calls are recorded."""
    if guard is None or not guard.records_calls:
        return carry_out(connection, request)
    began = time.monotonic()
    answer = carry_out(connection, request)
    if isinstance(answer, list):
        _record(guard, connection, request, answer, began)
        return answer
    return _recorded_later(guard, connection, request, answer, began)


async def _recorded_later(
    guard: AccessGuard,
    connection: ServerConnection,
    request: Any,
    answer: Coroutine[Any, Any, list[Piece]],
    began: float,
) -> list[Piece]:
    try:
        pieces = await answer
    except BaseException as error:
        facts = {"outcome": type(error).__name__, "seconds": time.monotonic() - began}
        guard.record("call", connection, {"method": _method(request), **facts})
        raise
    _record(guard, connection, request, pieces, began)
    return pieces


def _record(
    guard: AccessGuard, connection: ServerConnection, request: Any, answer: list[Piece], began: float
) -> None:
    seconds = time.monotonic() - began
    if connection.was_refused:
        connection.was_refused = False
        return
    found = _FAILED.match(_begin(answer))
    outcome = "ok" if found is None else (found[1] or b"failed").decode("ascii", "replace")
    guard.record(
        "call",
        connection,
        {
            "method": _method(request),
            "outcome": outcome,
            "seconds": round(seconds, 6),
            "bytes_in": connection.request_size,
            "bytes_out": sum(map(len, answer)),
        },
    )


def _begin(answer: list[Piece]) -> bytes:
    """Return the beginning of an answer, whose pieces are short in the old version of PYON."""
    text = b""
    for piece in answer:
        if not isinstance(piece, bytes) or len(text) > _ENOUGH:
            break
        text += piece[:_ENOUGH]
    return text


def _method(request: Any) -> str:
    if not isinstance(request, dict):
        return ""
    action = _text(request.get("action"))
    return (_text(request.get("name")) if action == "call" else action)[:200]


def _text(value: Any) -> str:
    """Return a name in a request; of other values their type, because their text may be long or fail."""
    return value if isinstance(value, str) else type(value).__name__

"""Which module of ours answers for which module of the reference library, and what has no counterpart."""

from importlib import import_module
from typing import Final

REFERENCE: Final = "sipyco"
"""Name of the reference library's package."""

COUNTERPARTS: Final = {
    "asyncio_tools": "rexec.asyncio_tools",
    "broadcast": "rexec.wire.broadcast",
    "common_args": "rexec.common_args",
    "keepalive": "rexec.keepalive",
    "logging_tools": "rexec.logging_tools",
    "logs": "rexec.logging_tools",
    "packed_exceptions": "rexec.wire.packed_exceptions",
    "pc_rpc": "rexec.wire.pc_rpc",
    "pyon": "rexec.wire.pyon",
    "pyon_v1": "rexec.wire.pyon_v1",
    "remote_exec": "rexec.remote_exec",
    "sync_struct": "rexec.wire.sync_struct",
    "tools": "rexec.asyncio_tools",
}
"""Module of the reference library, and ours with the same names."""

_LOG_FORWARDER: Final = "`rexec up` sends the logs of its controllers to the master"
_LOG_SERVER: Final = "`rexec master` takes in logs"
_LOG_MESSAGE: Final = "rexec.wire.logs.Reader parses log lines"
_TASK_POOL: Final = "use asyncio.TaskGroup"

_MISSING: Final = {
    "arguments": "use inspect.Signature, whose text is the same",
    "fire_and_forget": "use a concurrent.futures.ThreadPoolExecutor(1) and submit the client's methods, "
    "or a job of rexec.remote",
    "pipe_ipc": "use multiprocessing.Pipe, or a server of rexec.wire.pc_rpc on loopback",
    "sipyco_rpctool": "use `rexec call`, `rexec shell`, `rexec targets` and `rexec methods`",
    "asyncio_tools.BackgroundTaskPool": _TASK_POOL,
    "tools.BackgroundTaskPool": _TASK_POOL,
    "logging_tools.LogForwarder": _LOG_FORWARDER,
    "logging_tools.Server": _LOG_SERVER,
    "logging_tools.parse_log_message": _LOG_MESSAGE,
    "logs.LogForwarder": _LOG_FORWARDER,
    "logs.Server": _LOG_SERVER,
    "logs.parse_log_message": _LOG_MESSAGE,
}
"""Module, or module and name, of the reference library that has no counterpart, and what to do instead."""


def missing(module: str, name: str | None = None) -> str | None:
    """Return why a module or name of the reference library has no counterpart; None if it has one.

    Args:
        module: Module within the reference library, such as `pc_rpc`.
        name: A name in it.

    Returns:
        A text that names it and what to do instead.

    """
    wanted = module if module not in COUNTERPARTS or name is None else f"{module}.{name}"
    if name is None and module in COUNTERPARTS:
        return None
    if name is not None and module in COUNTERPARTS and hasattr(import_module(COUNTERPARTS[module]), name):
        return None
    advice = _MISSING.get(wanted)
    return f"{REFERENCE}.{wanted} has no counterpart in rexec" + (f": {advice}" if advice else "")

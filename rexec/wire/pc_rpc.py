"""Remote procedure calls: clients, server, and the loop of a controller."""

from rexec.access.identity import ConnectedClient, Identity, caller
from rexec.wire._async_client import AsyncioClient
from rexec.wire._best_effort_client import BestEffortClient
from rexec.wire._client import Client
from rexec.wire._handshake import AutoTarget
from rexec.wire._limits import Limits
from rexec.wire._loop import simple_server_loop
from rexec.wire._server import Server
from rexec.wire._targets import can_be_served, ends_with_client, is_marked, read_only, while_busy
from rexec.wire.errors import IncompatibleServer

__all__ = [
    "AsyncioClient",
    "AutoTarget",
    "BestEffortClient",
    "Client",
    "ConnectedClient",
    "Identity",
    "IncompatibleServer",
    "Limits",
    "Server",
    "caller",
    "can_be_served",
    "ends_with_client",
    "is_marked",
    "read_only",
    "simple_server_loop",
    "while_busy",
]

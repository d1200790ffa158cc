"""Remote procedure calls: clients, server, and the loop of a controller."""

from rexec.wire._async_client import AsyncioClient
from rexec.wire._best_effort_client import BestEffortClient
from rexec.wire._client import Client
from rexec.wire._limits import Limits
from rexec.wire._loop import simple_server_loop
from rexec.wire._protocol import AutoTarget
from rexec.wire._server import Server
from rexec.wire._targets import is_marked, while_busy
from rexec.wire.errors import IncompatibleServer

__all__ = [
    "AsyncioClient",
    "AutoTarget",
    "BestEffortClient",
    "Client",
    "IncompatibleServer",
    "Limits",
    "Server",
    "is_marked",
    "simple_server_loop",
    "while_busy",
]

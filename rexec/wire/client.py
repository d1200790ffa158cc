"""The blocking client alone, which needs no event loop: programs that make one call start faster."""

from rexec.wire._client import Client
from rexec.wire._handshake import AutoTarget

__all__ = ["AutoTarget", "Client"]

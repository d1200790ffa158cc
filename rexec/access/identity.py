"""Who is at the other end of a connection: a name, how it is known, the program and its run.

A client of this project introduces itself in the handshake (feature `introduction_1`, docs/explanation/wire.md). A name
is known by the *certificate* of a TLS connection, or by the *kernel* (the user of the peer's socket on this machine);
otherwise it is only *claimed*: what the client says of itself, nothing where it is a stock one.

`Server.connected()` returns a `ConnectedClient` for each client, with its `identity`. Code that a server runs for a
client finds that client's identity by `caller()`.
"""

import dataclasses
import json
import os
import socket
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, Protocol

from rexec.access.kernel_user import user_name, user_of_peer
from rexec.ground.client_label import current_label, program_name

KnownBy = Literal["certificate", "kernel", "claimed"]
_LONGEST: Final = 120
"""Characters of a field."""
_LONGEST_WORD: Final = 2048
"""Bytes of an introduction; a server reads 4096 in a line of the handshake."""


@dataclass(frozen=True)
class Introduction:
    """What a client says of itself.

    Attributes:
        user: Login name of its process; empty if it says nothing.
        host: Its machine.
        program: Name of the program.
        run: What the process does: "run 41"; empty outside a run.
        pid: Number of its process; 0 if it says nothing.

    """

    user: str = ""
    host: str = ""
    program: str = ""
    run: str = ""
    pid: int = 0

    def word(self) -> str:
        """Return it as one word of ASCII, for the line that chooses a target."""
        said = {name: value for name, value in dataclasses.asdict(self).items() if value}
        word = _one_word(said)
        if len(word) > _LONGEST_WORD:  # of characters that JSON escapes
            word = _one_word({k: v[: _LONGEST // 4] if isinstance(v, str) else v for k, v in said.items()})
        return word

    @classmethod
    def from_word(cls, word: str) -> "Introduction":
        """Return what a client said; fields that are missing or no text are empty, others are ignored.

        Raises:
            ValueError: It is no JSON object.

        """
        try:
            said: Any = json.loads(word)
        except RecursionError as error:
            raise ValueError("an introduction is a flat JSON object") from error
        if not isinstance(said, dict):
            raise ValueError("an introduction is a JSON object")
        text = {
            # A file or another client could not take half a character.
            name: value[:_LONGEST].encode("utf-8", "replace").decode()
            for name in ("user", "host", "program", "run")
            if isinstance(value := said.get(name), str)
        }
        pid = said.get("pid")
        return cls(**text, pid=pid if type(pid) is int and 0 < pid < 1 << 32 else 0)


SAYS_NOTHING: Final = Introduction()
"""That of a stock client."""


@dataclass(frozen=True)
class Identity:
    """Who a client is.

    Attributes:
        name: Of the person; empty if nothing is known.
        known_by: How the name is known. Only `claimed` can be untrue.
        host: The client's machine as it says, else its address.
        program: As it says; so are `run` and `pid`.
        run: What the process does: "run 41"; empty outside a run.
        pid: Number of its process; 0 if unknown.

    """

    name: str
    known_by: KnownBy
    host: str
    program: str = ""
    run: str = ""
    pid: int = 0

    @property
    def is_proven(self) -> bool:
        """Whether the name is more than what the client says."""
        return bool(self.name) and self.known_by != "claimed"

    @property
    def person(self) -> str:
        """Return the name and how it is known: "alice (by certificate)"."""
        return f"{self.name} ({_HOW[self.known_by]})" if self.name else "an unknown person"

    def __str__(self) -> str:
        """Return one line: "alice (by certificate), run 41, rexec, pid 312 on pc3"."""
        process = f"pid {self.pid} on {self.host}" if self.pid else self.host
        return ", ".join(part for part in (self.person, self.run, self.program, process) if part)


_HOW: Final = {"certificate": "by certificate", "kernel": "user of this machine", "claimed": "as claimed"}
NOBODY: Final = Identity("", "claimed", "")


@dataclass(frozen=True)
class ConnectedClient:
    """A client of a server.

    Attributes:
        identity: Who it is.
        target: The target that it has chosen.
        since: When, in seconds since the epoch.
        peer: Its host:port.

    """

    identity: Identity
    target: str
    since: float
    peer: str


class CallingClient(Protocol):
    """A connection of a server, as code that runs for its client finds it."""

    @property
    def identity(self) -> Identity:
        """Who the client is."""


_client: Final[ContextVar[Callable[[], CallingClient | None] | None]] = ContextVar(
    "rexec_client", default=None
)
"""Weak, because the context of a thread outlives a call: what the client has there must end with its connection."""


def calls_for(client: Callable[[], CallingClient | None]) -> None:
    """Set the connection (a weak reference) for whose client the next calls in this context run."""
    _client.set(client)


def calling_client() -> CallingClient | None:
    """Return the connection for whose client this code runs; None outside a call."""
    client = _client.get()
    return None if client is None else client()


def caller() -> Identity | None:
    """Return the client for which this code runs, in a method of a driver or in remote code; None outside a call."""
    client = calling_client()
    return None if client is None else client.identity


def introduction() -> Introduction:
    """Return what clients of this process say of themselves now."""
    user, host = _here(os.getuid() if hasattr(os, "getuid") else -1)
    return Introduction(user, host, program_name()[:_LONGEST], current_label()[:_LONGEST], os.getpid())


def identity_of(sock: Any, said: Introduction) -> Identity:
    """Return who is at the other end of a socket.

    Args:
        sock: Connected socket of a server; over TLS after its handshake.
        said: What the client says of itself.

    """
    name: str | None
    try:
        theirs, ours = sock.getpeername(), sock.getsockname()
        name = certificate_name(sock)
        known_by: KnownBy = "certificate"
        if name is None:
            name, known_by = user_of_peer(ours, theirs), "kernel"
    except (OSError, ValueError):  # it has ended
        return NOBODY
    if name is None:
        name, known_by = said.user, "claimed"
    return Identity(name, known_by, said.host or str(theirs[0]), said.program, said.run, said.pid)


def certificate_name(sock: Any) -> str | None:
    """Return the common name of the peer's certificate, its digest where it has none; None without TLS."""
    if not hasattr(sock, "getpeercert"):
        return None
    fields = dict(field[0] for field in (sock.getpeercert() or {}).get("subject", ()))
    if name := fields.get("commonName"):
        return str(name)
    from hashlib import sha256

    return "sha256:" + sha256(sock.getpeercert(binary_form=True) or b"").hexdigest()[:16]


def _one_word(said: dict[str, Any]) -> str:
    # White space is inside strings only, where JSON can escape it.
    return json.dumps(said, separators=(",", ":")).replace(" ", "\\u0020")


def own_identity() -> Identity:
    """Return who runs this process."""
    said = introduction()
    known_by: KnownBy = "kernel" if hasattr(os, "getuid") else "claimed"
    return Identity(said.user, known_by, said.host, said.program, said.run, said.pid)


@lru_cache(maxsize=4)
def _here(uid: int) -> tuple[str, str]:
    """Return login name and machine of a user's process; cached, because a directory server may be asked."""
    user = user_name(uid) if uid >= 0 else os.environ.get("USERNAME", "")
    return user[:_LONGEST], socket.gethostname()[:_LONGEST]

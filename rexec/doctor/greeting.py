"""The first words of a server, read step by step so that each way to fail has its own name."""

import errno
import json
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final

from devicedb import TLSFiles
from rexec.devices.connect import ssl_config
from rexec.doctor.finding import Cause
from rexec.wire.errors import checked_host

BANNER: Final = b"ARTIQ pc_rpc\n"
_UNROUTABLE: Final = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}


@dataclass(frozen=True)
class Greeting:
    """What a server says of itself."""

    targets: tuple[str, ...]
    description: str | None
    features: tuple[str, ...]


class Failed(Exception):
    """A step failed; carries the cause and what was seen."""

    def __init__(self, cause: Cause, message: str) -> None:
        self.cause: Final[Cause] = cause
        super().__init__(message)


def greet(
    host: str, port: int, tls: TLSFiles | None, deadline: float, connect_deadline: float | None = None
) -> Greeting:
    """Return the greeting of a server.

    Args:
        host, port: Where it is.
        tls: Certificates, if its entry has any.
        deadline: `time.monotonic()` at which to give up.
        connect_deadline: The same for being connected, where that is to be given up earlier.

    Raises:
        Failed: With the cause.

    """
    try:
        with _connected(host, port, connect_deadline or deadline) as plain:
            plain.settimeout(max(0.01, deadline - time.monotonic()))
            stream = _secured(plain, tls) if tls is not None else plain
            with stream:
                try:
                    line = _first_line(stream)
                except ssl.SSLError as error:
                    # The handshake went well on this side: with TLS 1.3 a refusal of our certificate comes after it.
                    if "alert" in str(error).lower():
                        raise
                    line = b""
                return _parsed(line, host, port, tls, deadline)
    except Failed:
        raise
    except TimeoutError:
        raise Failed("silent", "it accepts connections but says nothing. It hangs, or is a controller of the "
                     "reference library in a long call") from None  # fmt: skip
    except ssl.SSLError as error:
        raise Failed("tls", _tls_reason(error, tls)) from None
    except OSError as error:
        raise _closed(str(error.strerror or error), host, port, tls, deadline) from None


def _connected(host: str, port: int, deadline: float) -> socket.socket:
    """Return a connection to the first address of a host that takes one; each gets its share of the time."""
    began = time.monotonic()
    try:
        found = list(
            dict.fromkeys(
                each[4] for each in socket.getaddrinfo(checked_host(host), port, type=socket.SOCK_STREAM)
            )
        )
    except OSError as error:
        raise Failed(
            "unresolved", f"host {host!r} does not resolve: {error.strerror}. Is it spelled right?"
        ) from None
    failures: list[OSError] = []
    for at, address in enumerate(found):
        share = (deadline - time.monotonic()) / (len(found) - at)
        try:
            return socket.create_connection((str(address[0]), port), max(0.01, share))
        except OSError as error:
            failures.append(error)
    raise _not_connected(failures, time.monotonic() - began)


def _not_connected(failures: list[OSError], seconds: float) -> Failed:
    """Return what it means that no address of a host takes a connection; the best of the failures counts."""
    if any(isinstance(each, ConnectionRefusedError) for each in failures):
        return Failed("refused", "nobody listens there")
    if any(isinstance(each, TimeoutError) for each in failures):
        return Failed("no-accept", f"no answer to connecting in {seconds:.1f} s: the machine is off, or a firewall "
                      "drops it")  # fmt: skip
    error = failures[-1]
    if error.errno in _UNROUTABLE:
        return Failed("unroutable", f"there is no way to that machine: {error.strerror}")
    return Failed("unroutable", f"connecting fails: {error.strerror or error}")


def _secured(plain: socket.socket, tls: TLSFiles) -> ssl.SSLSocket:
    config = ssl_config(tls)
    if config is None:
        raise Failed("tls", "the entry has no certificates")
    try:
        context = config.create_client_context()
    except OSError as error:
        raise Failed("tls", f"{error}; simple_ssl_config in the entry names it") from None
    secured = context.wrap_socket(plain)
    try:
        config.check_peer(secured.getpeercert(binary_form=True))
    except BaseException:
        secured.close()
        raise
    return secured


def _first_line(stream: socket.socket) -> bytes:
    stream.sendall(BANNER)
    line = b""
    while b"\n" not in line and len(line) < 1 << 20:
        part = stream.recv(4096)
        if not part:
            break
        line += part
        # Another protocol need not send whole lines: its first byte tells it already.
        if not line.startswith(b"{"):
            break
    return line


def _parsed(line: bytes, host: str, port: int, tls: TLSFiles | None, deadline: float) -> Greeting:
    if not line:
        raise _closed("it closes the connection without a word", host, port, tls, deadline)
    try:
        said = json.loads(line)
        targets = tuple(str(each) for each in said["targets"])
        return Greeting(targets, said.get("description"), tuple(said.get("features", ())))
    except (ValueError, KeyError, TypeError, AttributeError):
        if tls is None and line[:1] in (b"\x15", b"\x16"):
            raise Failed("tls", _WANTS_TLS) from None
        raise Failed("protocol", f"it is no controller: it says {line[:40]!r}. Is the port right?") from None


_UNTRUSTED: Final = "the server does not trust {}: add that certificate to the server's peer file"
_WANTS_TLS: Final = "the server wants TLS, but the entry has no simple_ssl_config"


def _closed(reason: str, host: str, port: int, tls: TLSFiles | None, deadline: float) -> Failed:
    """Return what a closed connection means: for a plain client perhaps that the server wants TLS."""
    if tls is None and _speaks_tls(host, port, deadline):
        return Failed("tls", _WANTS_TLS)
    if tls is not None:
        return Failed("tls", f"{reason}: most likely {_UNTRUSTED.format(tls.client_cert)}")
    return Failed("closed", f"{reason}. Another program has the port, or the controller ends at once")


def _speaks_tls(host: str, port: int, deadline: float) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection(
            (checked_host(host), port), max(0.01, deadline - time.monotonic())
        ) as plain:
            with context.wrap_socket(plain):
                return True
    except ssl.SSLError as error:
        return "alert" in str(error).lower()
    except OSError:
        return False


def _tls_reason(error: ssl.SSLError, tls: TLSFiles | None) -> str:
    text = str(error).lower().replace("_", " ")
    if tls is None:
        return str(error)
    if "expired" in text and "alert" in text:
        return f"the server says that {tls.client_cert} has expired, or its clock is wrong"
    if "expired" in text or "not yet valid" in text:
        return f"the server's certificate is out of date, or this machine's clock is wrong: {error.args[-1]}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not in {tls.server_cert}: put it there"
    if "alert" in text:
        return _UNTRUSTED.format(tls.client_cert)
    if "wrong version" in text or "record layer" in text or "eof" in text:
        return "the server has no TLS, but the entry has simple_ssl_config: start it with --ssl"
    return f"TLS fails: {error}"

"""Connects to a server and reads its greeting step by step, so that each failure has its own cause."""

import errno
import socket
import ssl
import time
from typing import Final

from devicedb import TLSFiles
from rexec.devices.connect import ssl_config
from rexec.doctor.diagnosis import Cause
from rexec.wire.connection import Connection, Greeting
from rexec.wire.errors import ConnectionFailed, IncompatibleServer, WireError, checked_host, shown_address
from rexec.wire.reach import Way, reach, secured

_UNROUTABLE: Final = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}


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
        connect_deadline: The same for the connection, if its limit is earlier.

    Raises:
        Failed: With the cause.

    """
    began = time.monotonic()
    try:
        sock = reach(host, port, max(0.01, (connect_deadline or deadline) - began))
        left = max(0.01, deadline - time.monotonic())
        config = ssl_config(tls)
        if config is not None:
            sock = secured(sock, Way(host, port, left), config)
        connection = Connection(sock, shown_address(host, port))
        try:
            connection.shake_hands(left)
        finally:
            connection.close()
        return connection.talk.greeting
    except IncompatibleServer as error:
        if tls is None and error.said[:1] in (b"\x15", b"\x16"):
            raise Failed("tls", _WANTS_TLS) from None
        raise Failed(
            "protocol", f"it is not a controller: it sends {error.said[:40]!r}. Is the port right?"
        ) from None
    except ConnectionFailed as error:
        raise _cause(error, host, port, tls, deadline, time.monotonic() - began) from None


def _cause(
    error: ConnectionFailed, host: str, port: int, tls: TLSFiles | None, deadline: float, seconds: float
) -> Failed:
    """Return the cause of a failed step."""
    reason = error.__cause__
    if isinstance(reason, WireError) and reason.__cause__ is not None:
        reason = reason.__cause__
    text = getattr(reason, "strerror", None) or str(reason)
    if error.step == "resolve":
        return Failed("unresolved", f"host {host!r} does not resolve: {text}. Is it spelled right?")
    if error.step == "connect":
        if isinstance(reason, ConnectionRefusedError):
            return Failed("refused", "no process listens there")
        if isinstance(reason, TimeoutError):
            return Failed("no-accept", f"no answer to a connection in {seconds:.1f} s: the machine is off, or a "
                          "firewall drops packets")  # fmt: skip
        known = isinstance(reason, OSError) and reason.errno in _UNROUTABLE
        return Failed("unroutable", f"{'no route to that machine' if known else 'connecting failed'}: {text}")
    if error.step == "files":
        return Failed("tls", f"{text}; simple_ssl_config in the entry names it")
    if isinstance(reason, TimeoutError):
        return Failed("silent", "it accepts connections but sends no greeting. It hangs, or is a controller of the "
                      "reference library in a long call")  # fmt: skip
    if error.step == "tls" and isinstance(reason, _ENDS):
        return Failed("tls", _HAS_NO_TLS)
    # With TLS 1.3 the server refuses our certificate only after the handshake has succeeded here.
    if isinstance(reason, ssl.SSLError) and (error.step == "tls" or _is_alert(reason)):
        return Failed("tls", _tls_reason(reason, tls))
    return _closed(text, host, port, tls, deadline)


_OUT_OF_DATE: Final = (9, 10)
"""OpenSSL's codes of certificates that are not valid yet, or not any more."""
_UNTRUSTED: Final = "the server does not trust {}: add that certificate to the server's peer file"
_WANTS_TLS: Final = "the server requires TLS, but the entry has no simple_ssl_config"
_HAS_NO_TLS: Final = "the server has no TLS, but the entry has simple_ssl_config: start it with --ssl"
_ENDS: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)
"""How a connection ends in a handshake: which one is seen depends on the moment."""


def _closed(reason: str, host: str, port: int, tls: TLSFiles | None, deadline: float) -> Failed:
    """Return the cause of a closed connection; for a client without TLS, the server may require TLS."""
    if tls is None and _speaks_tls(host, port, deadline):
        return Failed("tls", _WANTS_TLS)
    if tls is not None:
        return Failed("tls", f"{reason}: most likely {_UNTRUSTED.format(tls.client_cert)}")
    return Failed("closed", f"{reason}. Another program uses the port, or the controller ends at once")


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
        return _is_alert(error)
    except OSError:
        return False


def _is_alert(error: ssl.SSLError) -> bool:
    """Return whether the server refused, instead of this side."""
    return "ALERT" in (getattr(error, "reason", "") or "")


def _tls_reason(error: ssl.SSLError, tls: TLSFiles | None) -> str:
    reason = getattr(error, "reason", "") or ""
    if tls is None:
        return str(error)
    if _is_alert(error) and "EXPIRED" in reason:
        return f"the server says that {tls.client_cert} has expired, or its clock is wrong"
    if getattr(error, "verify_code", 0) in _OUT_OF_DATE:
        return f"the server's certificate is out of date, or this machine's clock is wrong: {error.args[-1]}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not in {tls.server_cert}: add it"
    if _is_alert(error):
        return _UNTRUSTED.format(tls.client_cert)
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return _HAS_NO_TLS
    return f"TLS fails: {error}"

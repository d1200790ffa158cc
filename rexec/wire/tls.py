"""Mutual TLS: each side presents one certificate and trusts exactly those it was given."""

import logging
import os
import ssl
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rexec.wire._admission import seldom

_log = logging.getLogger(__name__)
_LOOK: Final = 1.0
"""Seconds between two looks at the files for connections that are open."""
_PEM_END = "-----END CERTIFICATE-----"
_PEM_BEGIN = "-----BEGIN CERTIFICATE-----"


class PinnedContext(ssl.SSLContext):
    """A context that checks the peer's certificate at the end of every handshake, of a socket or on an event loop.

    OpenSSL also accepts what a trusted certificate has signed; the protocol trusts the listed certificates only.
    """

    pins: Collection[bytes] = ()
    """Certificates that the peer may present, in DER form."""
    source = ""
    """The file that they are from."""
    config: "SimpleSSLConfig | None" = None
    """The files, of a server: it reads them again when they have changed."""
    current: "PinnedContext | None" = None
    """The context made of the changed files, a new one because OpenSSL forgets no certificate that it was given."""
    first: "PinnedContext | None" = None
    """The context that the server began with, if this one replaced it."""
    seen: tuple[tuple[int, ...], ...] = ()
    """What the files' stamp was before they were read."""
    _next_look = 0.0

    def wrap_socket(self, *arguments: Any, **keywords: Any) -> ssl.SSLSocket:
        """Return the TLS socket of a new connection, with the certificates as they are now."""
        self.refresh()
        if self.current is None:
            return super().wrap_socket(*arguments, **keywords)
        return self.current.wrap_socket(*arguments, **keywords)

    def wrap_bio(self, *arguments: Any, **keywords: Any) -> ssl.SSLObject:
        """Return the TLS object of a new connection, with the certificates as they are now."""
        self.refresh()
        if self.current is None:
            return super().wrap_bio(*arguments, **keywords)
        return self.current.wrap_bio(*arguments, **keywords)

    def still_trusts(self, presented: bytes | None) -> bool:
        """Return whether a peer's certificate is still pinned; the files are looked at once a second.

        Args:
            presented: The certificate in DER form; None: the peer has none.

        """
        if self.first is not None:
            return self.first.still_trusts(presented)
        now = time.monotonic()
        if self.config is not None and now >= self._next_look:
            self._next_look = now + _LOOK
            self.refresh()
        return presented in self.pins

    def refresh(self) -> None:
        """Read the files of a server again if they have changed; what cannot be read leaves the last ones in force."""
        if self.config is None:
            return
        try:
            stamp = self.config.stamp()
            if stamp == self.seen:
                return
            self.seen = stamp
            made = self.config.server_context(is_first=False)
        except OSError as error:  # of which SSLError is one
            seldom(f"tls {self.source}", "the TLS files cannot be read again, the last ones stay: %s", error)
            return
        made.first = self
        self.pins, self.current = made.pins, made
        _log.info("%s: certificates read again", self.source)

    def check_peer(self, presented: bytes | None) -> None:
        """Refuse a certificate that is not pinned.

        Args:
            presented: The certificate in DER form; None: the peer has none.

        Raises:
            ssl.SSLCertVerificationError: It is not.

        """
        if presented not in (self.pins if self.first is None else self.first.pins):
            text = f"the peer's certificate is not one of those in {self.source}"
            raise ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, text)


class _PinnedSocket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        self.context.check_peer(self.getpeercert(binary_form=True))  # type: ignore[attr-defined]


class _PinnedObject(ssl.SSLObject):
    def do_handshake(self) -> None:
        super().do_handshake()
        self.context.check_peer(self.getpeercert(binary_form=True))  # type: ignore[attr-defined]


PinnedContext.sslsocket_class = _PinnedSocket
PinnedContext.sslobject_class = _PinnedObject


@dataclass(frozen=True)
class SimpleSSLConfig:
    """The three files of one side of a TLS connection.

    Args:
        local_cert: PEM file with the certificate of this side.
        local_key: PEM file with its private key.
        peer_cert: PEM file with the certificates that the other side may present, one after another.

    """

    local_cert: str
    local_key: str
    peer_cert: str

    def create_client_context(self) -> PinnedContext:
        """Return the context of the connecting side.

        Raises:
            FileNotFoundError: A file is missing.
            ssl.SSLError: A file holds no certificate or key, or a key is another certificate's.

        """
        return self._context(ssl.PROTOCOL_TLS_CLIENT)

    def create_server_context(self) -> PinnedContext:
        """Return the context of the listening side.

        Raises:
            FileNotFoundError: A file is missing.
            ssl.SSLError: A file holds no certificate or key, or a key is another certificate's.

        """
        context = self.server_context(is_first=True)
        context.config = self
        return context

    def server_context(self, *, is_first: bool) -> PinnedContext:
        """Return a context made of the files as they are now.

        Args:
            is_first: Whether a server is about to start, which needs a client that it trusts.

        """
        return self._context(ssl.PROTOCOL_TLS_SERVER, is_empty_allowed=not is_first)

    def stamp(self) -> tuple[tuple[int, ...], ...]:
        """Return what changes with the files."""
        found = (os.stat(name) for name in (self.local_cert, self.local_key, self.peer_cert))
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)

    def _context(self, protocol: int, *, is_empty_allowed: bool = False) -> PinnedContext:
        for name in (self.local_cert, self.local_key, self.peer_cert):
            if not Path(name).is_file():
                raise FileNotFoundError(f"TLS file {name} does not exist")
        refuse_open_key(Path(self.local_key))
        context = PinnedContext(protocol)
        context.seen = self.stamp()
        context.source = self.peer_cert
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_cert_chain(self.local_cert, self.local_key)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                text = f"{self.local_key} is not the key of {self.local_cert}"
            else:
                text = f"{self.local_cert} holds no certificate, or {self.local_key} no key, in PEM form: {error}"
            raise ssl.SSLError(error.errno, text) from error
        if is_empty_allowed and not Path(self.peer_cert).read_bytes().strip():
            return context  # the last client was revoked
        try:
            context.load_verify_locations(cafile=self.peer_cert)
        except ssl.SSLError as error:
            text = f"{self.peer_cert} holds no certificate in PEM form: {error}"
            raise ssl.SSLError(error.errno, text) from error
        context.pins = _certificates(self.peer_cert)
        return context


def refuse_open_key(path: Path) -> None:
    """Refuse a private key that others can read; one of another owner (root) may be shared with a group.

    Raises:
        PermissionError: They can; the text has the command that mends it.

    """
    if os.name != "posix":
        return
    found = path.stat()
    bits = 0o077 if found.st_uid == os.geteuid() else 0o007  # type: ignore[attr-defined, unused-ignore]
    if found.st_mode & bits:
        raise PermissionError(
            f"the TLS key {path} can be read by other users of this machine. Make it private: chmod 600 {path}"
        )


def _certificates(path: str) -> frozenset[bytes]:
    """Return the certificates of a PEM file, each in DER form."""
    text = Path(path).read_bytes().decode("ascii", "replace")
    found = (part.partition(_PEM_END)[0] for part in text.split(_PEM_BEGIN)[1:])
    return frozenset(ssl.PEM_cert_to_DER_cert(_PEM_BEGIN + body + _PEM_END) for body in found)

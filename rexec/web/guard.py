"""Who may see the page: checks of host, origin and token, and what a browser may do with an answer."""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    # plotly sets attributes `style`, which can start no script.
    "style-src-attr 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)
"""What a document of the page may load and do."""

HEADERS: Final = {
    "content-security-policy": "; ".join(POLICY),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=(), serial=()",
}
"""Headers of every answer."""

TOKEN_BYTES: Final = 32


class PageGuard:
    """The token of a server, and the names under which it may be reached.

    Args:
        token: What a browser must know.
        names: Host names and addresses of the server beside those of this machine.
        any_address: Whether it is reached by any address.
        is_tls: Whether browsers speak TLS to it.
        port: Its port: cookies of two servers on one host need different names.

    """

    def __init__(
        self, token: str, names: Iterable[str], *, any_address: bool = False, is_tls: bool, port: int
    ) -> None:
        self._token: Final = token.encode()
        self._names: Final = LOCAL_NAMES | frozenset(map(_usual, names))
        self._any_address: Final = any_address
        self._is_tls: Final = is_tls
        self.cookie: Final = f"rexec-web-{port}"
        """Name of the cookie."""
        self._proof: Final = hmac.new(self._token, b"cookie of rexec web", hashlib.sha256).hexdigest()

    def is_token(self, given: str) -> bool:
        """Return whether a text is the token."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)

    def is_admitted(self, cookies: Mapping[str, str]) -> bool:
        """Return whether cookies show that the browser has had the token."""
        return hmac.compare_digest(
            cookies.get(self.cookie, "").encode("utf-8", "replace"), self._proof.encode()
        )

    def set_cookie(self) -> str:
        """Return the header that admits a browser. The token itself is not in it."""
        secure = "; Secure" if self._is_tls else ""
        return f"{self.cookie}={self._proof}; Path=/; HttpOnly; SameSite=Strict{secure}"

    def is_our_host(self, host: str) -> bool:
        """Return whether the Host of a request is ours: a page elsewhere may let its name lead to our address."""
        name = _host_name(host)
        if name is None:
            return False
        return _usual(name) in self._names or (self._any_address and _is_address(name))

    def is_our_origin(self, origin: str, host: str) -> bool:
        """Return whether a request was made by a page of ours."""
        return hmac.compare_digest(
            origin.encode(), f"{'https' if self._is_tls else 'http'}://{host}".encode()
        )


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def without_token(address: str) -> str:
    """Return the address of a page of ours (path and query) without the token in it."""
    path, _, query = address.partition("?")
    rest = urlencode(
        [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "token"]
    )
    path = "/" + path.lstrip("/\\")
    return f"{path}?{rest}" if rest else path


def _host_name(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or parts.username is not None or not has_port:
        return None
    return parts.hostname


def _usual(name: str) -> str:
    """Return a host name in lower case, an address as browsers write it."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

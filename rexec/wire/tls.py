"""Mutual TLS as the protocol wants it: each side presents one certificate and trusts exactly those it was given."""

import ssl
from dataclasses import dataclass
from pathlib import Path

_PEM_END = "-----END CERTIFICATE-----"
_PEM_BEGIN = "-----BEGIN CERTIFICATE-----"


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

    def create_client_context(self) -> ssl.SSLContext:
        """Return the context of the connecting side.

        Raises:
            OSError: A file is missing, holds no certificate or key, or a key is another certificate's.

        """
        return self._context(ssl.PROTOCOL_TLS_CLIENT)

    def create_server_context(self) -> ssl.SSLContext:
        """Return the context of the listening side.

        Raises:
            OSError: A file is missing, holds no certificate or key, or a key is another certificate's.

        """
        return self._context(ssl.PROTOCOL_TLS_SERVER)

    def trusted(self) -> frozenset[bytes]:
        """Return the certificates of `peer_cert`, each in DER form."""
        text = Path(self.peer_cert).read_text(encoding="ascii", errors="replace")
        found = (part.partition(_PEM_END)[0] for part in text.split(_PEM_BEGIN)[1:])
        return frozenset(ssl.PEM_cert_to_DER_cert(_PEM_BEGIN + body + _PEM_END) for body in found)

    def check_peer(self, presented: bytes | None) -> None:
        """Refuse a peer whose certificate is not one of those in `peer_cert`.

        OpenSSL also accepts what a trusted certificate has signed; the protocol trusts the listed ones only.

        Args:
            presented: The peer's certificate in DER form.

        Raises:
            ssl.SSLCertVerificationError: It is not listed.

        """
        if presented is None or presented not in self.trusted():
            raise ssl.SSLCertVerificationError(
                f"the peer's certificate is not one of those in {self.peer_cert}"
            )

    def _context(self, protocol: int) -> ssl.SSLContext:
        for name in (self.local_cert, self.local_key, self.peer_cert):
            if not Path(name).is_file():
                raise FileNotFoundError(f"TLS file {name} does not exist")
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_cert_chain(self.local_cert, self.local_key)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise OSError(f"{self.local_key} is not the key of {self.local_cert}") from error
            raise OSError(
                f"{self.local_cert} holds no certificate, or {self.local_key} no key, in PEM form: {error}"
            ) from error
        try:
            context.load_verify_locations(cafile=self.peer_cert)
        except ssl.SSLError as error:
            raise OSError(f"{self.peer_cert} holds no certificate in PEM form: {error}") from error
        return context

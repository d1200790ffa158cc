"""Certificates for mutual TLS: self-signed pairs, since each side trusts exactly the certificates it was given.

Needs the extra `tls` (the package cryptography).
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rexec.whole_file import write_whole

_YEARS: Final = 10
_KEY_MODE: Final = 0o600
_CERT_MODE: Final = 0o644


@dataclass(frozen=True)
class Pair:
    """The files of one side: its certificate (public) and its key (never leaves its machine)."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class CertificateSet:
    """A working set for a laboratory.

    Attributes:
        server: Pair of the controllers.
        clients: Pairs of the clients, by name.
        trusted_clients: All clients' certificates in one file, which is what a server is given as its peer's.

    """

    server: Pair
    clients: dict[str, Pair]
    trusted_clients: Path


def make_pair(
    folder: Path,
    name: str,
    *,
    not_before: datetime.datetime | None = None,
    not_after: datetime.datetime | None = None,
) -> Pair:
    """Make a self-signed certificate and its key (ECDSA P-256), as NAME.pem and NAME.key.

    Args:
        folder: Where the files go.
        name: Their name, and the certificate's common name.
        not_before: Begin of validity; by default an hour ago, so that clocks may differ.
        not_after: End of validity; by default in ten years.

    Raises:
        FileExistsError: One of the files exists already; nothing is overwritten.
        OSError: They cannot be written.

    """
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    _refuse_present(pair.cert, pair.key)
    now = datetime.datetime.now(datetime.UTC)
    begin = not_before or now - datetime.timedelta(hours=1)
    end = not_after or now + datetime.timedelta(days=365 * _YEARS)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_whole(
        pair.key,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        _KEY_MODE,
    )
    write_whole(pair.cert, certificate.public_bytes(serialization.Encoding.PEM), _CERT_MODE)
    return pair


def make_set(folder: Path, clients: Iterable[str], server: str = "server") -> CertificateSet:
    """Make the certificates of a laboratory: one pair for its controllers and one for each client.

    Args:
        folder: Where the files go; made if it does not exist.
        clients: Names of the clients (people, or machines).
        server: Name of the controllers' pair.

    Raises:
        FileExistsError: One of the files exists already; nothing is overwritten.
        ValueError: Names are not different, or are no file names.
        OSError: The files cannot be written.

    """
    names = list(clients)
    reserved = [server, *names, "clients"]
    if len(set(reserved)) != len(reserved):
        raise ValueError(f"names must be different, and not 'clients': {', '.join([server, *names])}")
    for name in [server, *names]:
        if not name or name.startswith(".") or any(c in "/\\" or c.isspace() for c in name):
            raise ValueError(f"{name!r} cannot be the name of a file")
    folder.mkdir(parents=True, exist_ok=True)
    trusted = folder / "clients.pem"
    for name in [server, *names]:
        _refuse_present(folder / f"{name}.pem", folder / f"{name}.key")
    _refuse_present(trusted)
    server_pair = make_pair(folder, server)
    pairs = {name: make_pair(folder, name) for name in names}
    write_whole(trusted, b"".join(pair.cert.read_bytes() for pair in pairs.values()), _CERT_MODE)
    return CertificateSet(server_pair, pairs, trusted)


def _refuse_present(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise FileExistsError(f"{path} exists already: certificates in use are not overwritten")

"""Certificates for mutual TLS: self-signed pairs, since each side trusts exactly the certificates it was given.

Needs the extra `tls` (the package cryptography).
"""

import datetime
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devicedb.opening import once_free
from devicedb.whole_file import make_folder, put_in_place, write_whole
from devicedb.windows_names import is_refused_here

_YEARS: Final = 10
_KEY_MODE: Final = 0o600
_CERT_MODE: Final = 0o644
_TRUSTED: Final = "clients.pem"
_EVERYONE: Final = "*"
_LONGEST: Final = 64


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
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
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
    if len({os.path.normcase(name) for name in reserved}) != len(reserved):
        raise ValueError(f"names must be different, and not 'clients': {', '.join([server, *names])}")
    _check_names([server, *names])
    make_folder(folder)
    trusted = folder / _TRUSTED
    for name in [server, *names]:
        _refuse_present(folder / f"{name}.pem", folder / f"{name}.key")
    _refuse_present(trusted)
    server_pair = make_pair(folder, server)
    pairs = {name: make_pair(folder, name) for name in names}
    write_whole(trusted, b"".join(once_free(pair.cert.read_bytes) for pair in pairs.values()), _CERT_MODE)
    return CertificateSet(server_pair, pairs, trusted)


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if not name or name.startswith(".") or any(c in "/\\" or c.isspace() for c in name):
            raise ValueError(f"{name!r} cannot be the name of a file")
        if name == _EVERYONE:
            raise ValueError(f"{name!r} cannot be the name of a person: in `allow` it stands for everyone")
        if is_refused_here(name):
            raise ValueError(f"{name!r} cannot be the name of a file on Windows")
        if len(name.encode()) > _LONGEST:
            raise ValueError(f"{name!r} is longer than the {_LONGEST} bytes that a certificate takes")


def _refuse_present(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise FileExistsError(f"{path} exists already: certificates in use are not overwritten")


@dataclass(frozen=True)
class TrustedClient:
    """A certificate that servers trust, or did.

    Attributes:
        name: Its common name, by which servers know the person.
        until: End of its validity.
        digest: Its SHA-256.

    """

    name: str
    until: datetime.datetime
    digest: str


def add_client(folder: Path, name: str) -> Pair:
    """Make the pair of one more client of a set, and have servers trust it.

    Args:
        folder: Folder of the set.
        name: Of the person or machine.

    Raises:
        FileExistsError: A client of that name exists already.
        FileNotFoundError: The folder has no set.
        ValueError: The name is no file name, or too long for a certificate.
        OSError: The files cannot be written.

    """
    trusted = folder / _TRUSTED
    text = once_free(trusted.read_bytes)
    _check_names([name])
    if any(each.name == name for each in trusted_clients(folder)):
        raise FileExistsError(f"{trusted} has a certificate of {name!r} already: revoke it first")
    pair = make_pair(folder, name)
    write_whole(
        trusted,
        text + (b"" if text.endswith(b"\n") or not text else b"\n") + once_free(pair.cert.read_bytes),
        _CERT_MODE,
    )
    return pair


def trusted_clients(folder: Path) -> list[TrustedClient]:
    """Return the clients that servers with this set trust, in their order.

    Raises:
        FileNotFoundError: The folder has no set.
        ValueError: A certificate in it is damaged.

    """
    return [_facts(certificate) for certificate in _certificates(folder)]


def revoke_client(folder: Path, name: str) -> list[Path]:
    """Take the certificates of a client from those that servers trust; return its files, under their names.

    Raises:
        FileNotFoundError: The folder has no set.
        LookupError: It has no client of that name.
        ValueError: A certificate in it is damaged.
        OSError: The files cannot be written.

    """
    found = _certificates(folder)
    kept = [each for each in found if _facts(each).name != name]
    if len(kept) == len(found):
        has = ", ".join(_facts(each).name for each in found) or "none"
        raise LookupError(f"{folder / _TRUSTED} has no certificate of {name!r}; it has: {has}")
    pem = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in kept)
    write_whole(folder / _TRUSTED, pem, _CERT_MODE)
    files = [path for path in (folder / f"{name}.pem", folder / f"{name}.key") if path.exists()]
    return [_renamed(path, path.with_name(f"{path.name}.revoked")) for path in files]


def _renamed(path: Path, target: Path) -> Path:
    """Rename a file and return its path: the old one where a program has it open on Windows."""
    try:
        put_in_place(path, target)
    except PermissionError:
        return path
    return target


def _certificates(folder: Path) -> list[x509.Certificate]:
    text = once_free((folder / _TRUSTED).read_bytes)
    try:
        return x509.load_pem_x509_certificates(text) if text.strip() else []
    except ValueError as error:
        raise ValueError(f"{folder / _TRUSTED} is damaged: {error}") from error


def _facts(certificate: x509.Certificate) -> TrustedClient:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else ""
    return TrustedClient(
        name, certificate.not_valid_after_utc, certificate.fingerprint(hashes.SHA256()).hex()
    )

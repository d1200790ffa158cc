"""The TLS files that options name."""

from collections.abc import Sequence
from pathlib import Path

from rexec.cli.errors import CommandError
from rexec.wire.tls import SimpleSSLConfig


def tls_files(files: Sequence[str] | None) -> SimpleSSLConfig | None:
    """Return the TLS configuration of three files; CommandError if one is missing."""
    if files is None:
        return None
    for name in files:
        if not Path(name).is_file():
            raise CommandError(f"TLS file {name} does not exist; `rexec certs` makes a set")
    return SimpleSSLConfig(*files)


def master_tls(files: Sequence[str] | None, host: str | None) -> SimpleSSLConfig | None:
    """Return the TLS configuration for the master at a host; CommandError for files without a host."""
    if files is not None and host is None:
        raise CommandError("TLS files for a master need a master: add --master HOST")
    return tls_files(files)

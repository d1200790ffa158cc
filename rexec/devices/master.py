"""Fetches the device database of a running ARTIQ master."""

from typing import Final

from devicedb import DatabaseLoadError, DeviceDatabase, from_dict
from rexec.devices.errors import MasterUnreachable
from rexec.wire.errors import WireError, shown_address
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig

TARGETS: Final = ("device_db", "master_device_db")
"""Names of the target: since ARTIQ 9, and before."""


def fetch_database(
    host: str, port: int = 3251, timeout: float = 10.0, ssl_config: SimpleSSLConfig | None = None
) -> DeviceDatabase:
    """Return the device database of a master.

    Args:
        host, port: Host and control port of the master.
        timeout: Seconds for the answer, and for connection and handshake, each (at most 10).
        ssl_config: TLS files, or None.

    Raises:
        MasterUnreachable: The server does not answer in time, or has no device database.

    """
    what = f"device database of the master at {shown_address(host, port)}"
    try:
        client = Client(host, port, None, timeout, ssl_config)
    except (WireError, OSError) as error:
        raise MasterUnreachable(f"{what}: {error}. Is artiq_master running there?") from error
    try:
        targets = client.get_rpc_id()[0]
        target = next((each for each in TARGETS if each in targets), None)
        if target is None:
            has = ", ".join(map(repr, targets))
            raise MasterUnreachable(f"{what}: the server is not a master; its targets are {has}")
        client.select_rpc_target(target)
        return from_dict(client.get_device_db(), f"master {shown_address(host, port)}")
    except (WireError, DatabaseLoadError) as error:
        raise MasterUnreachable(f"{what}: {error}") from error
    finally:
        client.close_rpc()

"""Remote functions inside a plain ARTIQ installation: a class for an entry of its device database.

"rexec": {"type": "local", "module": "rexec.artiq", "class": "RemoteDevice",
          "arguments": {"controller": "camera", "target_name": "camera_rexec"}}
"""

import os
from typing import Any

from rexec.remote import Remote
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig


class RemoteDevice(Remote):
    """Remote functions on a controller of the device database, through TLS where its entry has that.

    Args:
        dmgr: Device manager, of ARTIQ or ours.
        controller: Name of the controller's entry.
        target_name: Its target for remote execution.
        lease: Seconds without a word from here after which the controller ends the jobs of this client.

    Raises:
        ValueError: The entry is no controller, or needs ARTIQ_SSL_DIR, which is not set.
        ConnectionError: The controller cannot be reached.

    """

    def __init__(self, dmgr: Any, controller: str, target_name: str, lease: float = 30.0) -> None:
        entry = dmgr.get_desc(controller)
        if entry.get("type") != "controller":
            raise ValueError(f"device {controller!r} is no controller but of type {entry.get('type')!r}")
        if (ensure_started := getattr(dmgr, "ensure_started", None)) is not None:
            ensure_started(controller)  # ours, under `rexec run --up`
        client = Client(entry["host"], entry["port"], target_name, ssl_config=tls_of(controller, entry))
        super().__init__(client, controller, lease=lease)


def tls_of(name: str, entry: dict[str, Any]) -> SimpleSSLConfig | None:
    """Return the TLS settings of a controller's entry, None if it has none.

    Args:
        name: Of the entry, for messages.
        entry: As written.

    Raises:
        ValueError: It needs ARTIQ_SSL_DIR, which is not set.

    """
    settings = entry.get("simple_ssl_config")
    if not settings:
        return None
    folder = os.environ.get("ARTIQ_SSL_DIR")
    files = [settings[key] for key in ("client_cert", "client_key", "server_cert")]
    if folder is None and any("{ARTIQ_SSL_DIR}" in file for file in files):
        raise ValueError(f"device {name!r} needs the environment variable ARTIQ_SSL_DIR, which is not set")
    return SimpleSSLConfig(*(file.replace("{ARTIQ_SSL_DIR}", folder or "") for file in files))

"""The device database that options name."""

import argparse

from devicedb import DeviceDatabase, load_file
from rexec.cli._tls import master_tls
from rexec.devices import fetch_database


def chosen_database(options: argparse.Namespace) -> DeviceDatabase:
    """Return the device database that the options name; DeviceDBError or DeviceError if that fails."""
    tls = master_tls(options.master_ssl, options.master)
    if options.master is not None:
        return fetch_database(options.master, options.master_port, ssl_config=tls)
    return load_file(options.device_db)

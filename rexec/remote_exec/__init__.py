"""Remote execution: code of an experiment runs beside the driver, on the controller.

A controller uses `RemoteExecServer` or `simple_rexec_server_loop`; an experiment calls `connect_global_rpc`. Both
interoperate with the original ARTIQ module.
"""

from rexec.remote_exec._dataset_db import DEFAULT_PORT, DatasetDBOffer, offer_dataset_db, offered_dataset_db
from rexec.remote_exec._global_rpc import connect_global_rpc
from rexec.remote_exec._server import (
    RemoteExecServer,
    close_global_clients,
    rexec_targets,
    simple_rexec_server_loop,
)

__all__ = [
    "DEFAULT_PORT",
    "DatasetDBOffer",
    "RemoteExecServer",
    "close_global_clients",
    "connect_global_rpc",
    "offer_dataset_db",
    "offered_dataset_db",
    "rexec_targets",
    "simple_rexec_server_loop",
]

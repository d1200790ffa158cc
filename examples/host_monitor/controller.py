"""A controller with remote execution whose instrument is the machine it runs on: its data are real.

Start it by hand with `python controller.py`, or let `rexec run … --up` do so.
"""

import argparse
import time

import psutil

from rexec.common_args import (
    bind_address_from_args,
    error_in_one_line,
    init_logger_from_args,
    simple_network_args,
    verbosity_args,
)
from rexec.remote_exec import simple_rexec_server_loop
from rexec.wire.pc_rpc import while_busy
from rexec.wire.tls import SimpleSSLConfig


class HostMonitor:
    """Reads the counters of the machine."""

    def __init__(self) -> None:
        psutil.cpu_percent()  # the first reading is the beginning of an interval

    def read(self) -> dict[str, float]:
        """Return one reading.

        Returns:
            time (s since the epoch), cpu (% of all cores since the last reading), memory (bytes in use),
            received and sent (bytes on all network interfaces since the machine's start).

        """
        network = psutil.net_io_counters()
        return {
            "time": time.time(),
            "cpu": psutil.cpu_percent(),
            "memory": float(psutil.virtual_memory().used),
            "received": float(network.bytes_recv) if network is not None else float("nan"),
            "sent": float(network.bytes_sent) if network is not None else float("nan"),
        }

    @while_busy
    def ping(self) -> bool:
        """Tell the controller manager that the controller lives."""
        return True


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Counters of this machine, with remote execution: targets host_monitor and host_monitor_rexec.",
        epilog="examples:\n  python controller.py -v\n  rexec call ::1 3291 -t host_monitor read     while it runs\n\n"
        "Ctrl-C, SIGTERM or terminate() ends it. Exit status: 0 ended by a signal or a client, 2 could not start.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    simple_network_args(parser, 3291, ssl=True)
    verbosity_args(parser)
    return parser


@error_in_one_line()
def main() -> None:
    """Serve the counters until told to end."""
    args = get_argparser().parse_args()
    init_logger_from_args(args)
    simple_rexec_server_loop(
        "host_monitor",
        HostMonitor(),
        bind_address_from_args(args),
        args.port,
        "counters of this machine",
        ssl_config=SimpleSSLConfig(*args.ssl) if args.ssl else None,
    )


if __name__ == "__main__":
    main()

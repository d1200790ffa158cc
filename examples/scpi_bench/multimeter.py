"""A controller with remote execution: a multimeter that speaks SCPI.

By hand: `python multimeter.py --simulation`, or `python multimeter.py -d TCPIP::192.168.1.21::INSTR`.
"""

import argparse
import logging

from cable import Cable
from scpi import SIMULATED, InstrumentError, Scpi

from rexec.common_args import (
    bind_address_from_args,
    error_in_one_line,
    init_logger_from_args,
    simple_network_args,
    verbosity_args,
)
from rexec.remote_exec import simple_rexec_server_loop
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)


class Multimeter:
    """A multimeter that measures alternating voltage.

    Args:
        instrument: Where it is.

    """

    def __init__(self, instrument: Scpi) -> None:
        self._instrument = instrument

    def measure(self) -> float:
        """Take one reading and return it, in V (root mean square)."""
        return float(self._instrument.ask("MEAS:VOLT:AC?"))

    def ping(self) -> bool:
        """Tell the controller manager whether the instrument answers."""
        return bool(self._instrument.identity())


class SimulatedMultimeter(Multimeter):
    """The multimeter of the simulated bench, whose input a simulated cable feeds.

    Args:
        instrument: What pyvisa-sim answers for.
        cable: What the input is connected to.

    """

    def __init__(self, instrument: Scpi, cable: Cable) -> None:
        super().__init__(instrument)
        self._cable = cable

    def measure(self) -> float:
        """Take one reading and return it, in V (root mean square)."""
        self._instrument.tell(f"SIMULATION:INPUT {self._cable.volts():.9f}")
        return super().measure()


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="A multimeter that speaks SCPI, with remote execution: targets multimeter and multimeter_rexec.",
        epilog="examples:\n  python multimeter.py --simulation\n"
        "  python multimeter.py -d TCPIP::192.168.1.21::INSTR -v\n\n"
        "Ctrl-C, SIGTERM or terminate() ends it. Exit status: 0 ended by a signal or a client, 2 could not start.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("-d", "--device", metavar="RESOURCE", help="VISA resource of the instrument")
    which.add_argument("--simulation", action="store_true", help="no hardware: pyvisa-sim answers")
    parser.add_argument(
        "--cable",
        nargs=2,
        metavar=("HOST", "PORT"),
        default=("::1", "3293"),
        help="in simulation, the generator's controller, whose signal comes through a filter to the input "
        "(default: ::1 3293)",
    )
    simple_network_args(parser, 3294, ssl=True)
    verbosity_args(parser)
    return parser


@error_in_one_line(InstrumentError)
def main() -> None:
    """Serve the multimeter until told to end."""
    parser = get_argparser()
    args = parser.parse_args()
    init_logger_from_args(args)
    if args.simulation:
        host, port = args.cable
        if not port.isdecimal():
            parser.error(f"argument --cable: {port!r} is not a TCP port")
        instrument = Scpi("TCPIP::multimeter::INSTR", SIMULATED)
        driver: Multimeter = SimulatedMultimeter(instrument, Cable(host, int(port)))
    else:
        instrument = Scpi(args.device)
        driver = Multimeter(instrument)
    logger.info("%s", instrument.identity())
    try:
        simple_rexec_server_loop(
            "multimeter",
            driver,
            bind_address_from_args(args),
            args.port,
            "multimeter",
            ssl_config=SimpleSSLConfig(*args.ssl) if args.ssl else None,
        )
    finally:
        instrument.close()


if __name__ == "__main__":
    main()

"""A controller with remote execution: a function generator that speaks SCPI.

By hand: `python generator.py --simulation`, or `python generator.py -d TCPIP::192.168.1.20::INSTR`.
"""

import argparse
import logging

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


class Generator:
    """A function generator with one output of sine waves.

    Args:
        instrument: Where it is.

    """

    def __init__(self, instrument: Scpi) -> None:
        self._instrument = instrument

    def set_frequency(self, hertz: float) -> None:
        """Set the frequency, in Hz."""
        self._instrument.tell(f"FREQ {hertz:.6f}")

    def set_amplitude(self, volts: float) -> None:
        """Set the amplitude, in V (root mean square)."""
        self._instrument.tell(f"VOLT {volts:.6f}")

    def set_output(self, is_on: bool) -> None:
        """Switch the output on or off."""
        self._instrument.tell(f"OUTP {int(is_on)}")

    def settings(self) -> dict[str, float]:
        """Return frequency (Hz), amplitude (V, root mean square), and output (1 on, 0 off) as the instrument says."""
        ask = self._instrument.ask
        return {
            "frequency": float(ask("FREQ?")),
            "amplitude": float(ask("VOLT?")),
            "output": float(ask("OUTP?")),
        }

    def ping(self) -> bool:
        """Tell the controller manager whether the instrument answers."""
        return bool(self._instrument.identity())


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="A function generator that speaks SCPI, with remote execution: targets generator and "
        "generator_rexec.",
        epilog="examples:\n  python generator.py --simulation\n"
        "  python generator.py -d TCPIP::192.168.1.20::INSTR -v\n\n"
        "Ctrl-C, SIGTERM or terminate() ends it. Exit status: 0 ended by a signal or a client, 2 could not start.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("-d", "--device", metavar="RESOURCE", help="VISA resource of the instrument")
    which.add_argument("--simulation", action="store_true", help="no hardware: pyvisa-sim answers")
    simple_network_args(parser, 3293, ssl=True)
    verbosity_args(parser)
    return parser


@error_in_one_line(InstrumentError)
def main() -> None:
    """Serve the generator until told to end."""
    args = get_argparser().parse_args()
    init_logger_from_args(args)
    instrument = Scpi("TCPIP::generator::INSTR", SIMULATED) if args.simulation else Scpi(args.device)
    logger.info("%s", instrument.identity())
    try:
        simple_rexec_server_loop(
            "generator",
            Generator(instrument),
            bind_address_from_args(args),
            args.port,
            "function generator",
            ssl_config=SimpleSSLConfig(*args.ssl) if args.ssl else None,
        )
    finally:
        instrument.close()


if __name__ == "__main__":
    main()

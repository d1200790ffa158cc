"""Command-line arguments that every controller has, and the form of its log lines.

Names, defaults and meaning are those of the ecosystem, so that one line of a device database starts any
controller.
"""

import argparse
import contextlib
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

LOCALHOST: Final = ("127.0.0.1", "::1")
_STEP: Final = 10
_EVERYTHING: Final = "*"


def simple_network_args(
    parser: argparse.ArgumentParser, default_port: int | Iterable[tuple[str, str, int]], ssl: bool = False
) -> None:
    """Add the arguments of a network server: --bind, --no-localhost-bind, --port, and --ssl where wanted.

    Args:
        parser: Gets the arguments, in a group of their own.
        default_port: TCP port; or (name, purpose, port) of each, which makes `--port-NAME`, for several.
        ssl: Whether the server can speak TLS: adds `--ssl CERT KEY PEER`.

    """
    group = parser.add_argument_group("network server")
    group.add_argument(
        "--bind",
        metavar="ADDRESS",
        default=[],
        action="append",
        help="listen on this host name or address too; '*' means all interfaces; may be repeated",
    )
    group.add_argument(
        "--no-localhost-bind",
        default=False,
        action="store_true",
        help="do not listen on the addresses of localhost as well",
    )
    if isinstance(default_port, int):
        group.add_argument(
            "-p",
            "--port",
            metavar="PORT",
            default=default_port,
            type=listening_port,
            help="TCP port to listen on (default: %(default)d)",
        )
    else:
        for name, purpose, port in default_port:
            group.add_argument(
                f"--port-{name}",
                metavar="PORT",
                default=port,
                type=listening_port,
                help=f"TCP port to listen on for {purpose} connections (default: %(default)d)",
            )
    if ssl:
        group.add_argument(
            "--ssl",
            nargs=3,
            metavar=("CERT", "KEY", "PEER"),
            help="speak TLS: this server's certificate, its private key, and the client certificates to trust",
        )


def bind_address_from_args(args: argparse.Namespace) -> list[str] | None:
    """Return the addresses to listen on, as `Server.start` takes them; None means all interfaces.

    Args:
        args: Result of a parser that `simple_network_args` prepared.

    """
    wanted: list[str] = args.bind
    if _EVERYTHING in wanted:
        return None
    # A manager's --bind is often an address of localhost: nothing can be listened on twice.
    return list(dict.fromkeys([*(() if args.no_localhost_bind else LOCALHOST), *wanted]))


def verbosity_args(parser: argparse.ArgumentParser, quiet: str = "") -> None:
    """Add -v/--verbose and -q/--quiet, each counted.

    Args:
        parser: Gets the arguments, in a group of their own.
        quiet: What -q does beside logging less, for its help.

    """
    group = parser.add_argument_group("verbosity")
    group.add_argument("-v", "--verbose", default=0, action="count", help="log more; may be repeated")
    less = f"log less, and {quiet}" if quiet else "log less"
    group.add_argument("-q", "--quiet", default=0, action="count", help=f"{less}; may be repeated")


def init_logger_from_args(args: argparse.Namespace) -> None:
    """Send the log of the whole program to standard error, in the form that controller managers read.

    Without -v or -q warnings and worse are shown; each -v shows one level more, each -q one less.

    Args:
        args: Result of a parser that `verbosity_args` prepared.

    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineCountFormatter())
    root = logging.getLogger()
    root.setLevel(max(1, logging.WARNING + _STEP * (args.quiet - args.verbose)))
    for previous in [each for each in root.handlers if isinstance(each.formatter, LineCountFormatter)]:
        root.removeHandler(previous)
    root.addHandler(handler)


@contextlib.contextmanager
def error_in_one_line(*further: type[Exception]) -> Iterator[None]:
    """End the program with one line and status 2 where it cannot do its work: an address in use, a missing TLS file.

    For the `main` of a controller, as a decorator: `@error_in_one_line(InstrumentError)`. With -vv the log has the
    traceback, too.

    Args:
        further: Errors beside OSError whose text says all, such as those of a driver whose instrument is not there.

    """
    expected: tuple[type[Exception], ...] = (OSError, *further)
    try:
        yield
    except expected as error:
        logging.getLogger(__name__).debug("the error in full", exc_info=error)
        text = str(error)
        if isinstance(error, OSError) and error.strerror:
            text = f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
        print(f"{Path(sys.argv[0]).name}: error: {text}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None


class LineCountFormatter(logging.Formatter):
    """Writes `LEVEL:name:message`, or `LEVEL<n>:name:message` where the message has n lines.

    The reader of a controller's standard error knows from n which lines belong together.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record, traceback included."""
        message = super().format(record)
        lines = message.count("\n") + 1
        count = f"<{lines}>" if lines > 1 else ""
        return f"{record.levelname}{count}:{record.name}:{message}"


def listening_port(text: str) -> int:
    """Return a TCP port; 0 lets the system choose."""
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no TCP port (0 to 65535)")
    return port

"""Command-line arguments and log format of controllers.

Names, defaults and meaning are those of the reference library, so that one command in a device database starts any
controller.
"""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from devicedb.printable import LINES, inset, printable
from rexec.access.guard import AUDIT, AUDIT_BEST_EFFORT, AUDIT_CALLS, DEVICE, RIGHTS

LOCALHOST: Final = ("127.0.0.1", "::1")
_ALL: Final = ("0.0.0.0", "::")  # noqa: S104 - what a person may ask for
_STEP: Final = 10
_EVERYTHING: Final = "*"


def simple_network_args(
    parser: argparse.ArgumentParser,
    default_port: int | Iterable[tuple[str, str, int]],
    ssl: bool = False,
    *,
    access: bool = True,
) -> None:
    """Add the arguments of a network server: --bind, --no-localhost-bind, --port, and optionally --ssl.

    Beside those of the reference library: --rights, --audit, --audit-calls, --audit-best-effort.

    Args:
        parser: Gets the arguments, in their own group.
        default_port: TCP port; or, for several ports, (name, purpose, port) of each, which adds `--port-NAME`.
        ssl: Whether to add `--ssl CERT KEY PEER`.
        access: Whether to add the options of rights and audit.

    """
    group = parser.add_argument_group("network server")
    group.add_argument(
        "--bind",
        metavar="ADDRESS",
        default=[],
        action="append",
        help="also listen on this host name or address; '*' means all interfaces; may be repeated",
    )
    group.add_argument(
        "--no-localhost-bind",
        default=False,
        action="store_true",
        help="do not listen on localhost (default: listen on localhost, too)",
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
    if access:
        _access_args(parser)


def _access_args(parser: argparse.ArgumentParser) -> None:
    """Add --rights, --audit, --audit-calls, --audit-best-effort. They take effect when the first server starts."""
    group = parser.add_argument_group("rights and audit")
    group.add_argument(
        "--rights",
        nargs=2,
        metavar=("FILE", "DEVICE"),
        action=_Setting,
        variables=(RIGHTS, DEVICE),
        help="refuse what the entry DEVICE does not allow; FILE is from `devicedb show --rights`, or of `rexec up`",
    )
    group.add_argument(
        "--audit",
        metavar="FILE",
        action=_Setting,
        variables=(AUDIT,),
        help="record connections, remote code and refused calls in FILE, a line each (see `rexec audit`)",
    )
    group.add_argument(
        "--audit-calls",
        nargs=0,
        action=_Setting,
        variables=(AUDIT_CALLS,),
        help="record each call, too, without its arguments",
    )
    group.add_argument(
        "--audit-best-effort",
        nargs=0,
        action=_Setting,
        variables=(AUDIT_BEST_EFFORT,),
        help="run remote code that cannot be recorded (default: refuse it, for example on a full disk)",
    )


class _Setting(argparse.Action):
    """Sets environment variables, so that servers find the setting wherever a controller makes them."""

    def __init__(self, *arguments: Any, variables: tuple[str, ...], **keywords: Any) -> None:
        super().__init__(*arguments, **{**keywords, "default": argparse.SUPPRESS})
        self._variables = variables

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        words = values if isinstance(values, list) else [values]
        os.environ.update(zip(self._variables, words or ["1"], strict=True))


def bind_address_from_args(args: argparse.Namespace) -> list[str] | None:
    """Return the addresses to listen on, for `Server.start`; None means all interfaces.

    Args:
        args: Result of a parser with `simple_network_args`.

    """
    wanted: list[str] = args.bind
    if _EVERYTHING in wanted:
        return None
    # A socket on all IPv4 (or IPv6) interfaces takes the port on loopback, too: a second one there would fail.
    local = [every if every in wanted else one for one, every in zip(LOCALHOST, _ALL, strict=True)]
    # Without duplicates, because a controller manager's --bind is often an address of localhost.
    return list(dict.fromkeys([*(() if args.no_localhost_bind else local), *wanted]))


def verbosity_args(parser: argparse.ArgumentParser, quiet: str = "") -> None:
    """Add -v/--verbose and -q/--quiet, each counted.

    Args:
        parser: Gets the arguments, in their own group.
        quiet: A further effect of -q, for its help.

    """
    group = parser.add_argument_group("verbosity")
    group.add_argument("-v", "--verbose", default=0, action="count", help="log more; may be repeated")
    less = f"log less, and {quiet}" if quiet else "log less"
    group.add_argument("-q", "--quiet", default=0, action="count", help=f"{less}; may be repeated")


def init_logger_from_args(args: argparse.Namespace) -> None:
    """Send the log of the program to standard error, in the format that controller managers read.

    The level is WARNING; each -v lowers it by one step, each -q raises it.

    Args:
        args: Result of a parser with `verbosity_args`.

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
    """End the program with one line and status 2 on an expected error, such as a port in use or a missing TLS file.

    Use it as a decorator of a controller's `main`: `@error_in_one_line(InstrumentError)`. With -vv the traceback is
    logged.

    Args:
        further: Expected errors besides OSError, for example the driver's error for a missing instrument.

    """
    expected: tuple[type[Exception], ...] = (OSError, *further)
    try:
        yield
    except expected as error:
        logging.getLogger(__name__).debug("the error in full", exc_info=error)
        text = str(error)
        if isinstance(error, OSError) and error.strerror:
            text = f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
        print(f"{Path(sys.argv[0]).name}: error: {inset(text)}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None


class LineCountFormatter(logging.Formatter):
    """Writes `LEVEL:name:message`, or `LEVEL<n>:name:message` for a message of n lines.

    The count tells the reader of a controller's standard error which lines belong together.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record, including its traceback."""
        message = printable(super().format(record), keep=LINES)
        lines = message.count("\n") + 1
        count = f"<{lines}>" if lines > 1 else ""
        return f"{record.levelname}{count}:{printable(record.name)}:{message}"


def listening_port(text: str) -> int:
    """Return a TCP port; 0 lets the system choose."""
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a TCP port (0 to 65535)")
    return port

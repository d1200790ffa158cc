"""`rexec web`: shows the laboratory in a browser."""

import argparse
import asyncio
import socket
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devicedb.cli import output
from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say, say_error
from rexec.cli._laboratory import DEVICES
from rexec.cli._logging import log_to
from rexec.cli._options import add_device_db, add_master, add_master_port, port
from rexec.cli._page import need_packages
from rexec.cli._signals import on_signals
from rexec.cli._tls import tls_files
from rexec.cli.errors import CommandError
from rexec.common_args import bind_address_from_args, simple_network_args, verbosity_args

if TYPE_CHECKING:
    from rexec.web.serving import WebPlan

PORT = 8270
"""The default port: one that no controller and no master has."""

AUDIT = "web-audit.jsonl"
"""The default file of the actions."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec web`."""
    parser = CommandParser(
        prog="rexec web",
        description="Show the laboratory in a browser: datasets as they change, runs, devices, the log. It prints the "
        "address\nto open, with a token. It only reads, unless --control is given, and needs no network.",
        epilog="examples:\n"
        "  rexec web                          beside the master of this machine (ARTIQ's, or `rexec master`)\n"
        "  rexec web --master 192.168.1.2     the master of another machine\n"
        "  rexec web --no-master              results and devices only\n"
        "  rexec web --bind 192.168.1.3 --ssl me.pem me.key people.pem    for browsers of other machines\n\n"
        "Whoever has the printed address sees everything that the page shows. Ctrl-C or SIGTERM ends the page, and "
        "nothing else.\n\n"
        "Exit status: 0 ended by a signal, 2 could not start.",
    )
    sources = parser.add_argument_group("what it shows")
    add_device_db(sources, None, "device_db.py in the current folder, if there is one, else the master's")
    add_master(
        sources,
        "host of the master (default: localhost; waits until one runs)",
        ports=("notify",),
        ssl="--master-ssl",
    )
    sources.add_argument(
        "--master-port-broadcast",
        metavar="PORT",
        type=port,
        default=1067,
        help="broadcast port of the master, for its log (default: %(default)d)",
    )
    add_master_port(sources, "control")
    sources.add_argument(
        "--results",
        metavar="DIR",
        type=Path,
        default=Path("results"),
        help="folder of results (default: %(default)s)",
    )
    sources.add_argument(
        "--up",
        metavar="HOST[:PORT]",
        type=up_address,
        default=("localhost", 3249),
        help="control port of `rexec up`, for the state of controllers (default: localhost:3249, if it runs)",
    )
    sources.add_argument("--no-master", action="store_true", help="do not look for a master")
    sources.add_argument(
        "--name", metavar="NAME", help="name of the laboratory (default: that of this machine)"
    )
    page = parser.add_argument_group("page")
    page.add_argument("--open", action="store_true", help="open the page in the browser of this machine")
    page.add_argument(
        "--host",
        metavar="NAME",
        type=host_name,
        action="append",
        default=[],
        help="a further host name by which browsers reach this server; may be repeated (default: its addresses)",
    )
    page.add_argument(
        "--control",
        action="store_true",
        help="let the page act: restart controllers, end runs, set datasets, note runs; each by rights, asked for once "
        "more, and written into --audit (default: it only reads)",
    )
    page.add_argument(
        "--audit",
        metavar="FILE",
        type=Path,
        help=f"file of the actions of --control (default: {AUDIT})",
    )
    page.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="keep the token in this file, so that it stays the same (default: a new one at each start)",
    )
    simple_network_args(parser, PORT, ssl=True, access=False)
    verbosity_args(parser, "print only the address")
    return parser


def host_name(text: str) -> str:
    """Return the name of a host. A `type` for argparse."""
    if not text or any(char in text for char in ":/@ "):
        raise argparse.ArgumentTypeError(f"{text!r} is no host name: name it without http:// and port")
    return text


def up_address(text: str) -> tuple[str, int]:
    """Return host and port of a supervisor. A `type` for argparse."""
    host, separator, number = text.rpartition(":")
    if not separator or host.endswith(":"):
        return text, 3249
    return host.strip("[]"), port(number)


def main(argv: Sequence[str]) -> int:
    """Serve the page until a signal ends it; return the exit status."""
    options = get_argparser().parse_args(argv)
    log_to(output.console(stderr=True), options)
    need_packages("the page")
    from rexec.web.serving import serve_page

    async def serve() -> None:
        end = asyncio.Event()
        with on_signals(end.set):
            await serve_page(plan(options), end, lambda urls: tell(options, urls))

    asyncio.run(serve())
    return 0


def plan(options: argparse.Namespace) -> "WebPlan":
    """Return what the options ask for."""
    from rexec.web.guard import new_token
    from rexec.web.serving import WebPlan
    from rexec.web.token_file import kept_token

    refuse_contradictions(options)
    hosts = bind_address_from_args(options)
    address = (options.master or "localhost", options.master_port_notify, options.master_port_broadcast)
    return WebPlan(
        title=options.name or socket.gethostname(),
        token=new_token() if options.token_file is None else kept_token(options.token_file),
        hosts=hosts,
        port=options.port,
        names=frozenset(options.host),
        ssl_config=tls_files(options.ssl),
        master=None if options.no_master else address,
        master_ssl=tls_files(options.master_ssl),
        control=options.master_port,
        device_db=options.device_db or (Path(DEVICES).absolute() if Path(DEVICES).is_file() else None),
        supervisor=options.up,
        results=options.results,
        audit=(options.audit or Path(AUDIT)) if options.control else None,
    )


def refuse_contradictions(options: argparse.Namespace) -> None:
    """Refuse what would have no effect, or show nothing: a person who gives --audit believes that there is one."""
    if options.no_master and options.master is not None:
        raise CommandError("--no-master and --master contradict each other")
    if options.audit is not None and not options.control:
        raise CommandError("--audit: only with --control; without it the page only reads")
    if options.device_db is not None and not options.device_db.is_file():
        raise CommandError(f"{options.device_db}: no such file")
    if options.results.exists() and not options.results.is_dir():
        raise CommandError(f"--results {options.results}: it is no folder")


def tell(options: argparse.Namespace, urls: list[str]) -> None:
    """Print the address of the page, and a warning where others can read it."""
    if options.ssl is None and (options.bind or options.no_localhost_bind):
        say_error(
            "rexec web: warning: without --ssl, the token and all data travel in the clear; `rexec certs` makes "
            "the files"
        )
    say(urls[0], flush=True)
    if options.open and not webbrowser.open(urls[0]):
        say_error("rexec web: no browser could be opened here")

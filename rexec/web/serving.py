"""Puts the page together and serves it until it is told to end."""

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devicedb.opening import why_not_opened
from rexec._version import __version__
from rexec.access.audit_log import AuditLog
from rexec.laboratory import LiveSnapshot
from rexec.web.action_routes import act_route
from rexec.web.actions import ActionTargets, PageActions
from rexec.web.app import application
from rexec.web.clock import VersionClock
from rexec.web.device_rows import DeviceRows
from rexec.web.device_watch import DeviceSource, DeviceWatch, source_opener
from rexec.web.errors import WebError
from rexec.web.guard import PageGuard
from rexec.web.live_datasets import LiveDatasets
from rexec.web.live_master import LiveMaster
from rexec.web.log_lines import LogLines
from rexec.web.method_list import methods_route
from rexec.web.page import Page
from rexec.web.run_routes import RunRoutes
from rexec.web.server import listening, serve, urls
from rexec.web.static_files import static_files
from rexec.web.stream import Streams
from rexec.web.zoom import zoom_route
from rexec.wire.tls import SimpleSSLConfig


@dataclass(frozen=True)
class WebPlan:
    """What `rexec web` serves, and where.

    Attributes:
        title: Name of the laboratory.
        token: What a browser must know.
        hosts: Addresses to listen on; None: all interfaces.
        port: TCP port; 0: chosen by the system.
        names: Host names under which browsers may reach it, beside its addresses and `hosts`.
        ssl_config: TLS files for browsers, or None.
        master: Host, notification port and log port of the master, or None.
        control: Control port of the master.
        device_db: File of the device database; None: the master's.
        supervisor: Host and control port of `rexec up`, or None.
        results: Folder of results; it may be made later.
        audit: File of the actions; None: the page only reads.
        master_ssl: TLS files for the master, or None.

    """

    title: str
    token: str
    hosts: Sequence[str] | None
    port: int = 0
    names: frozenset[str] = frozenset()
    ssl_config: SimpleSSLConfig | None = None
    master: tuple[str, int, int | None] | None = None
    master_ssl: SimpleSSLConfig | None = None
    control: int = 3251
    device_db: Path | None = None
    supervisor: tuple[str, int] | None = None
    results: Path = Path("results")
    audit: Path | None = None


async def serve_page(plan: WebPlan, end: asyncio.Event, ready: Callable[[list[str]], None]) -> None:
    """Serve the page until `end` is set.

    Args:
        plan: What, and where.
        end: Ends the server; the laboratory goes on.
        ready: Called with the addresses of the page, when it can be opened.

    Raises:
        WebError: It cannot be served.

    """
    files = await asyncio.to_thread(static_files)
    context = None if plan.ssl_config is None else plan.ssl_config.create_server_context()
    with contextlib.ExitStack() as stack:
        audit = None if plan.audit is None else stack.enter_context(contextlib.closing(_audit(plan.audit)))
        sockets = listening(plan.hosts, plan.port)
        addresses = [each.getsockname()[0] for each in sockets]
        guard = PageGuard(
            plan.token,
            [*plan.names, *(plan.hosts or ()), *addresses],
            any_address=any(ipaddress.ip_address(each).is_unspecified for each in addresses),
            is_tls=context is not None,
            port=sockets[0].getsockname()[1],
        )
        clock = VersionClock()
        page = Page(clock, LiveDatasets(clock), LogLines(clock))
        if plan.master is not None:
            page.source = LiveMaster(clock, page.datasets, page.log, plan.master, plan.master_ssl)
        streams, runs = Streams(page), RunRoutes(plan.results.absolute())
        laboratory = LiveSnapshot()
        page.devices = DeviceRows(laboratory, clock)
        watch = DeviceWatch(
            laboratory, page.devices, _devices(plan), plan.supervisor, lambda: streams.look_at("devices")
        )
        routes = [zoom_route(page), methods_route(watch), *runs.routes()]
        if audit is not None:
            routes.append(act_route(PageActions(_targets(plan, page), audit), watch, runs, page.instance))
        app = application(guard, files, streams, lambda: _hello(plan), routes)
        tasks = [asyncio.create_task(watch.run())]
        if page.source is not None:
            tasks.append(asyncio.create_task(page.source.run()))
        ready(urls(sockets, plan.token, is_tls=context is not None))
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(app, sockets, context, stop))
        ending = asyncio.create_task(end.wait())
        try:
            await asyncio.wait({serving, ending, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (ending, *tasks):
                each.cancel()
            await streams.close()
            await runs.close()
            stop.set()
            await serving
    for each in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await each


def _audit(path: Path) -> AuditLog:
    try:
        return AuditLog(path)
    except OSError as error:
        raise WebError(f"the audit {path} cannot be opened: {why_not_opened(error)}; see --audit") from error


def _targets(plan: WebPlan, page: Page) -> ActionTargets:
    control = None if plan.master is None else (plan.master[0], plan.control)
    return ActionTargets(page.datasets, control, plan.master_ssl, plan.supervisor)


def _devices(plan: WebPlan) -> Callable[[], DeviceSource]:
    if plan.device_db is not None or plan.master is None:
        return source_opener(plan.device_db, None, None)
    host, notify, _ = plan.master
    return source_opener(None, (host, plan.control, notify), plan.master_ssl)


def _hello(plan: WebPlan) -> dict[str, Any]:
    return {
        "title": plan.title,
        "version": __version__,
        "has_master": plan.master is not None,
        "has_control": plan.audit is not None,
    }

"""The methods of a device with their documentation, asked of its controller when a person wants to read them."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from devicedb import DeviceDatabase
from devicedb.errors import ExpectedError
from rexec.web.device_watch import DeviceWatch
from rexec.web.labels import LONG, bounded
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import AutoTarget, Client
from rexec.wire.signatures import signature
from rexec.wire.tls import SimpleSSLConfig

_TIMEOUT: Final = 5.0
_MOST: Final = 200


def methods_route(watch: DeviceWatch) -> BaseRoute:
    """Return the address `/api/methods?device=camera`, with the label of a device."""

    async def methods(request: Request) -> Response:
        name, database = watch.device(request.query_params.get("device", "")), watch.database
        if name is None or database is None:
            return JSONResponse({"problem": "there is no such device"}, 404)
        return JSONResponse(await asyncio.to_thread(method_list, database, name))

    return Route("/api/methods", methods)


def method_list(database: DeviceDatabase, name: str) -> dict[str, Any]:
    """Return documentation and methods of a device, or the problem."""
    try:
        endpoint = database.endpoint(name)
        files = endpoint.tls
        tls = (
            None if files is None else SimpleSSLConfig(files.client_cert, files.client_key, files.server_cert)
        )
        target = endpoint.target_name or AutoTarget
        with Client(endpoint.host, endpoint.port, target, timeout=_TIMEOUT, ssl_config=tls) as client:
            return understood(client.get_rpc_method_list())
    except (ExpectedError, WireError, OSError) as error:
        return {"problem": bounded(str(error), LONG)}


def understood(answer: Any) -> dict[str, Any]:
    """Return documentation and methods of what a controller has answered, which may be anything; or the problem."""
    try:
        found = answer["methods"]
        listed = [_method(str(each), found[each]) for each in sorted(found)[:_MOST]]
        return {"documentation": bounded(str(answer.get("docstring") or ""), LONG), "methods": listed}
    except (LookupError, TypeError, ValueError, AttributeError):
        return {"problem": "its list of methods cannot be understood"}


def _method(name: str, described: Any) -> dict[str, str]:
    spec, documentation = described
    text = signature(name, spec) if isinstance(spec, Mapping) else name
    return {"signature": bounded(text, LONG), "documentation": bounded(str(documentation or ""), LONG)}

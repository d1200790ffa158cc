"""The methods of a device with their documentation, asked of its controller when a person wants to read them."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from devicedb import DeviceDatabase
from devicedb.errors import ExpectedError
from devicedb.printable import LINES, printable
from rexec.web.device_watch import DeviceWatch
from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import AutoTarget, Client
from rexec.wire.signatures import signature
from rexec.wire.tls import SimpleSSLConfig

_TIMEOUT: Final = 5.0
_MOST: Final = 200
_MOST_TEXT: Final = 4000


def methods_route(watch: DeviceWatch) -> BaseRoute:
    """Return the address `/api/methods?place=3`, the number of a device in the order of the database."""

    async def methods(request: Request) -> Response:
        place, database = request.query_params.get("place", ""), watch.database
        names = [] if database is None else list(database)
        if database is None or not place.isdecimal() or len(place) > 9 or int(place) >= len(names):
            return JSONResponse({"problem": "there is no such device"}, 404)
        name = names[int(place)]
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
            answer = client.get_rpc_method_list()
        found = answer["methods"]
        listed = [_method(str(each), found[each]) for each in sorted(found)[:_MOST]]
        return {"documentation": _text(answer.get("docstring") or ""), "methods": listed}
    except (ExpectedError, WireError, OSError) as error:
        return {"problem": _text(str(error))}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {"problem": "its list of methods cannot be understood"}


def _method(name: str, described: Any) -> dict[str, str]:
    spec, documentation = described
    text = signature(name, spec) if isinstance(spec, Mapping) else name
    return {"signature": _text(text), "documentation": _text(documentation or "")}


def _text(text: str) -> str:
    return printable(str(text)[:_MOST_TEXT], keep=LINES)

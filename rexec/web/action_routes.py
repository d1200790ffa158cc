"""The address `/api/act`, which is there only with `--control`."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rexec.access.identity import Identity, own_identity
from rexec.web.actions import ActionRefused, PageActions
from rexec.web.app import limited_body
from rexec.web.device_watch import DeviceWatch
from rexec.web.run_routes import RunRoutes
from rexec.web.server import CERTIFICATE


def person(request: Request) -> Identity:
    """Return who asks: the name of the certificate, else the owner of the token, who is the user of this server."""
    name = request.scope.get("state", {}).get(CERTIFICATE)
    host = "" if request.client is None else request.client.host
    if name:
        return Identity(name, "certificate", host)
    return own_identity()


def act_route(actions: PageActions, watch: DeviceWatch, runs: RunRoutes, instance: str) -> BaseRoute:
    """Return the address of actions.

    Args:
        actions: Does them.
        watch: Knows the devices.
        runs: Knows the result files.
        instance: That of this server, to which the numbers of datasets belong.

    """

    async def act(request: Request) -> Response:
        try:
            order = orjson.loads(await limited_body(request))
            if request.headers.get("content-type") != "application/json" or not isinstance(order, dict):
                raise ActionRefused("an action is a JSON object")
            return JSONResponse({"done": await _act(actions, watch, runs, instance, person(request), order)})
        except orjson.JSONDecodeError:
            return JSONResponse({"problem": "an action is a JSON object"}, 400)
        except ActionRefused as error:
            return JSONResponse({"problem": str(error)}, 409)

    return Route("/api/act", act, methods=["POST"])


async def _act(
    actions: PageActions,
    watch: DeviceWatch,
    runs: RunRoutes,
    instance: str,
    who: Identity,
    order: dict[str, Any],
) -> str:
    kind = order.get("do")
    if kind in ("restart", "retry"):
        name, database = watch.device(str(order.get("device"))), watch.database
        if name is None or database is None:
            raise ActionRefused("there is no such device")
        return await actions.keep_controller(who, database, name, kind)
    if kind == "set":
        number, text = order.get("dataset"), order.get("value")
        if not isinstance(number, int) or not isinstance(text, str):
            raise ActionRefused("a dataset and a value are needed")
        if order.get("instance") != instance:  # the number would mean another dataset
            raise ActionRefused("rexec web was started again since the page was opened: ask once more")
        return await actions.set_dataset(who, number, text)
    if kind in ("end", "comment", "tag", "untag"):
        path, text = runs.path(str(order.get("file"))), order.get("text", "")
        if not isinstance(text, str):
            raise ActionRefused("a text is needed")
        if path is None:
            raise ActionRefused("there is no such result file")
        if kind == "end":
            return await actions.end_run(who, path)
        return await actions.note(who, path, kind, text)
    raise ActionRefused("there is no such action")

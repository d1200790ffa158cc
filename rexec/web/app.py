"""The web application: which address gives what, to whom the guard has admitted."""

import html
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from rexec.web.guard import HEADERS, PageGuard, without_token
from rexec.web.limits import MOST_ADDRESS, MOST_MESSAGE
from rexec.web.static_files import SHELL, StaticFile
from rexec.web.stream import Streams

VIEWS: Final = ("/", "/live", "/runs", "/runs/{rest:path}", "/devices", "/devices/{rest:path}", "/log")
"""Addresses of the one document, whose script shows the view."""

_FORM: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>rexec web</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/static/style.css"></head>
<body class="door"><main><h1>rexec web</h1>{problem}
<form method="post" action="/enter"><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="off" required autofocus>
<input type="hidden" name="next" value="{next}"><button>Open</button></form>
<p>The token is in the address that <code>rexec web</code> printed when it started.</p></main></body></html>"""


_AGAIN: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>rexec web</title>
<meta http-equiv="refresh" content="0"><link rel="stylesheet" href="/static/style.css"><link rel="icon" href="data:,">
</head><body class="door"><main><h1>rexec web</h1><p>Opening… If nothing happens: <a href="">open</a>.</p></main>
</body></html>"""


class GuardedApp:
    """Admits requests, and adds the headers of the guard to every answer.

    Args:
        app: The application inside.
        guard: Decides.

    """

    def __init__(self, app: ASGIApp, guard: PageGuard) -> None:
        self._app: Final = app
        self._guard: Final = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(HTTPConnection(scope))
        app: ASGIApp = self._app if refusal is None else refusal
        if refusal is not None and scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            return
        await app(scope, receive, _with_headers(send))

    def _refusal(self, request: HTTPConnection) -> Response | None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not self._guard.is_our_host(host):
            return PlainTextResponse("this host name is not one of rexec web; see --host\n", 421)
        scope = request.scope
        is_reading = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if origin is not None and not self._guard.is_our_origin(origin, host):
            return PlainTextResponse("a page elsewhere may not ask here\n", 403)
        if origin is None and not is_reading:
            return PlainTextResponse("a request that changes something needs an Origin\n", 403)
        path = scope["path"]
        if self._guard.is_admitted(request.cookies) or path in ("/enter", "/static/style.css"):
            return None
        given = request.query_params.get("token")
        if given is not None and is_reading:
            if self._guard.is_token(given):
                answer = RedirectResponse(without_token(_address(scope)), 303)
                answer.headers["set-cookie"] = self._guard.set_cookie()
                return answer
            return door(
                _address(scope),
                "This token is not the one of this server. It changes at each start of rexec web.",
            )
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse("no token\n", 401)
        if request.headers.get("sec-fetch-site") == "cross-site" and is_reading:
            # A link in a chat or a logbook: the browser keeps the cookie back until a page of ours asks.
            return Response(_AGAIN, 401, media_type="text/html; charset=utf-8")
        return door(_address(scope), "")


def _address(scope: Scope) -> str:
    """Return path and query as the browser has sent them: a decoded path would lead elsewhere (`%2F` in a name)."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (path.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")


def door(address: str, problem: str) -> Response:
    """Return the form that asks for the token, and then leads to an address."""
    said = f'<p role="alert">{html.escape(problem)}</p>' if problem else ""
    text = _FORM.format(problem=said, next=html.escape(without_token(address)[:MOST_ADDRESS]))
    return Response(text, 401, media_type="text/html; charset=utf-8")


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in message["headers"]}
            added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            if b"cache-control" not in names:
                added.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*message["headers"], *added]}
        await send(message)

    return send_with_headers


def application(
    guard: PageGuard,
    files: dict[str, StaticFile],
    streams: Streams,
    hello: Callable[[], dict[str, Any]],
    routes: list[BaseRoute],
) -> ASGIApp:
    """Return the application.

    Args:
        guard: Admits requests.
        files: Scripts and styles.
        streams: Serves the connections of pages.
        hello: What a page is told first.
        routes: Further addresses.

    """

    async def view(request: Request) -> Response:
        if "token" in request.query_params:
            return RedirectResponse(without_token(_address(request.scope)), 303)
        return _answer(request, files[SHELL])

    async def static(request: Request) -> Response:
        file = files.get(request.path_params["name"])
        return PlainTextResponse("no such file\n", 404) if file is None else _answer(request, file)

    async def enter(request: Request) -> Response:
        form = parse_qs((await limited_body(request)).decode("utf-8", "replace"))
        address = form.get("next", ["/"])[0]
        if not guard.is_token(form.get("token", [""])[0]):
            return door(address, "This token is not the one of this server.")
        answer = RedirectResponse(without_token(address), 303)
        answer.headers["set-cookie"] = guard.set_cookie()
        return answer

    async def stream(socket: WebSocket) -> None:
        await streams.serve(socket, hello())

    shells: list[BaseRoute] = [Route(path, view) for path in VIEWS]
    app = Starlette(
        routes=[
            *routes,
            *shells,
            Route("/static/{name}", static),
            Route("/enter", enter, methods=["POST"]),
            WebSocketRoute("/stream", stream),
        ]
    )
    return GuardedApp(app, guard)


async def limited_body(request: Request) -> bytes:
    """Return the body of a request, of at most `MOST_MESSAGE` bytes; more is cut. One that breaks off is empty."""
    found = b""
    try:
        async for piece in request.stream():
            found += piece
            if len(found) > MOST_MESSAGE:
                break
    except ClientDisconnect:
        return b""  # the client has gone: no answer is sent
    return found[:MOST_MESSAGE]


def _answer(request: Request, file: StaticFile) -> Response:
    headers = {"etag": file.etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)

"""Addresses of the runs: the list, one run, its plots, its file. No path leaves the folder of results."""

import asyncio
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from devicedb.opening import open_to_read
from devicedb.printable import printable
from devicedb.windows_names import is_refused_here
from rexec.web.frames import frame
from rexec.web.live_view import MOST_POINTS
from rexec.web.results_reader import ResultsReader
from rexec.web.zoom import FRAME_TYPE

MOST_RUNS: Final = 1000
SUFFIXES: Final = (".h5", ".hdf5")
_SEARCH: Final = 600.0
"""Seconds for a list of runs: the first one may have to read all files."""
_READ: Final = 20.0
"""Seconds for a file."""
_MOST_NAME: Final = 4000
_PIECE: Final = 1 << 20
"""Bytes that are copied at once."""


class RunRoutes:
    """Serves the runs of a folder.

    Args:
        folder: The folder of results, which may not be there yet.

    """

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder
        self._lists: Final = ResultsReader(_SEARCH)
        self._files: Final = ResultsReader(_READ)

    def routes(self) -> list[BaseRoute]:
        """Return the addresses."""
        return [
            Route("/api/runs", self._list),
            Route("/api/run", self._contents),
            Route("/api/plot", self._plot),
            Route("/file", self._download),
        ]

    async def close(self) -> None:
        """End the processes that read."""
        await self._lists.close()
        await self._files.close()

    def path(self, name: str) -> Path | None:
        """Return the result file of a name below the folder; None: there is no such file."""
        if "\0" in name or not name.endswith(SUFFIXES):
            return None
        if os.path.splitdrive(name)[0]:  # Windows would log in at the server of a name \\SERVER\SHARE\RUN.h5
            return None
        if any(map(is_refused_here, re.split(r"[\\/]", name))):  # to look opens COM1.h5
            return None
        root = os.path.realpath(self._folder)
        try:
            found = os.path.realpath(os.path.join(root, name))
        except (ValueError, OSError):
            return None
        return Path(found) if _is_inside(found, root) and os.path.isfile(found) else None

    async def _list(self, request: Request) -> Response:
        if not self._folder.is_dir():
            return _answer(
                frame({"problem": "", "runs": [], "more": False, "folder": printable(str(self._folder))})
            )
        most = min(max(_number(request, "most", 200), 1), MOST_RUNS)
        query = request.query_params.get("query", "")
        return _answer(await self._lists.ask(do="list", folder=str(self._folder), query=query, most=most))

    async def _contents(self, request: Request) -> Response:
        path = self.path(request.query_params.get("file", ""))
        if path is None:
            return _no_file()
        return _answer(await self._files.ask(do="contents", path=str(path)))

    async def _plot(self, request: Request) -> Response:
        given = request.query_params
        path = self.path(given.get("file", ""))
        if path is None:
            return _no_file()
        wanted: dict[str, Any] = {
            name: given.get(name, "")[:_MOST_NAME] for name in ("dataset", "axis", "kind", "complex")
        }
        wanted["most"] = min(max(_number(request, "most", 4000), 16), MOST_POINTS)
        if "from" in given:
            wanted |= {"from": _number(request, "from", 0), "to": _number(request, "to", 0)}
        return _answer(await self._files.ask(do="plot", path=str(path), wanted=wanted))

    async def _download(self, request: Request) -> Response:
        path = self.path(request.query_params.get("file", ""))
        if path is None:
            return _no_file()
        try:
            opened = await asyncio.to_thread(opened_to_send, self._folder, path)
        except OSError as error:  # the disk has no room for a copy
            return PlainTextResponse(f"{printable(path.name)} cannot be sent: {error.strerror}\n", 500)
        return _no_file() if opened is None else Download(*opened, path)


class _Opened:
    """What `open` takes for a number of a descriptor: each time a new one, of a file that is open already.

    Args:
        descriptor: Of the file.

    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: Final = descriptor

    def __index__(self) -> int:
        return os.dup(self._descriptor)


class Download(FileResponse):
    """A file that is open already, because its name may lead elsewhere by now. Closes it."""

    def __init__(self, descriptor: int, found: os.stat_result, path: Path) -> None:
        self._descriptor: Final = descriptor
        opened: Any = _Opened(descriptor)
        super().__init__(opened, media_type="application/x-hdf5", filename=path.name, stat_result=found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it (ASGI)."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._descriptor)


def opened_to_send(folder: Path, path: Path) -> tuple[int, os.stat_result] | None:
    """Return a descriptor as `opened_inside`, and what the system says of the file.

    On Windows, which replaces no open file, the descriptor is that of a copy.

    Raises:
        OSError: It cannot be copied.

    """
    descriptor = opened_inside(folder, path)
    if descriptor is None:
        return None
    found = os.fstat(descriptor)
    if os.name == "posix":
        return descriptor, found
    with open(descriptor, "rb") as file, tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy, _PIECE)
        copy.seek(0)
        return os.dup(copy.fileno()), found


def opened_inside(folder: Path, path: Path) -> int | None:
    """Return a descriptor of a regular file below a folder; None: there is none, or it is elsewhere.

    Args:
        folder: The folder.
        path: A path in it, whose parts may have become links, or pipes, since it was looked at.

    """
    try:
        descriptor = open_to_read(path)
    except OSError:
        return None
    opened = f"/proc/self/fd/{descriptor}"  # Linux tells where the open file is
    real, root = os.path.realpath(opened if os.path.islink(opened) else path), os.path.realpath(folder)
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and _is_inside(real, root):
        return descriptor
    os.close(descriptor)
    return None


def _is_inside(path: str, root: str) -> bool:
    try:
        return os.path.commonpath([root, path]) == root
    except ValueError:  # another drive of Windows
        return False


def _number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else otherwise


def _answer(content: bytes) -> Response:
    return Response(content, media_type=FRAME_TYPE)


def _no_file() -> Response:
    return PlainTextResponse(
        "there is no such result file; one that a link leads out of the folder to is not read\n", 404
    )

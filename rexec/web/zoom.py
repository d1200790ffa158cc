"""Exact points of a part of a live line, for a browser that has zoomed in."""

from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from rexec.web.frames import frame
from rexec.web.live_view import MOST_POINTS
from rexec.web.page import Page
from rexec.web.plotted import line, may_be_axis

FRAME_TYPE: Final = "application/vnd.rexec.frame"


def zoom_route(page: Page) -> BaseRoute:
    """Return the address `/api/zoom?instance=&dataset=&from=&to=&most=`."""

    async def zoom(request: Request) -> Response:
        """Answer a part of a line exactly, or with finer steps."""
        try:
            given = {name: int(request.query_params[name]) for name in ("dataset", "from", "to", "most")}
            axis_number = int(request.query_params.get("axis", "0"))
        except (KeyError, ValueError):
            return PlainTextResponse("dataset, from, to and most are whole numbers\n", 400)
        dataset, axis = page.datasets.get(given["dataset"]), page.datasets.get(axis_number)
        rows = None if dataset is None else dataset.rows()
        if request.query_params.get("instance") != page.instance:
            return PlainTextResponse("the dataset numbers are those of an earlier start of rexec web\n", 409)
        if dataset is None or rows is None:
            return PlainTextResponse("there is no such line\n", 404)
        along = None if axis is None else axis.rows()
        if along is not None and not may_be_axis(along.shape, along.dtype, len(rows)):
            along = None
        begin = min(max(given["from"], 0), len(rows))
        end = min(max(given["to"], begin), len(rows))
        part = line(
            lambda start, stop: rows[start:stop],
            None if along is None else lambda start, stop: along[start:stop],
            (begin, end),
            min(max(given["most"], 16), MOST_POINTS),
            (dataset.display.scale, 1.0 if axis is None else axis.display.scale),
            "mag_phase" if request.query_params.get("complex") == "mag_phase" else "re_im",
        )
        return Response(frame(part.facts, part.arrays), media_type=FRAME_TYPE)

    return Route("/api/zoom", zoom)

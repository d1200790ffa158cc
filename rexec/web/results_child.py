"""The process that reads result files for the page: strangers' files cannot harm the server, which is another process.

Requests and answers are lines: JSON, and a frame (`rexec.web.frames`) in base64. See `rexec.web.results_reader`.
"""

import queue
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import pybase64

from devicedb.errors import ExpectedError
from devicedb.memory_limit import limit_memory
from devicedb.printable import printable
from rexec.web.frames import frame

MEMORY: Final = 4 << 30
"""Bytes of address space that the process may have."""


def main(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None]) -> None:
    """Answer requests until the parent ends."""
    _set_limits()
    while True:
        say(pybase64.b64encode(answer(orjson.loads(lines.get()))))


def answer(request: Mapping[str, Any]) -> bytes:
    """Return the answer to one request; what goes wrong is in `problem`."""
    # Imported here: a process that only lists runs needs no HDF5.
    try:
        if request["do"] == "list":
            from rexec.web.run_list import listed

            return frame(listed(Path(request["folder"]), str(request["query"]), int(request["most"])))
        from rexec.web.run_contents import contents, plot

        path = Path(request["path"])
        if request["do"] == "contents":
            return frame(contents(path))
        part = plot(path, request["wanted"])
        return frame(part.facts, part.arrays)
    except ExpectedError as error:
        return frame({"problem": printable(str(error)[:2000])})
    except MemoryError:
        return frame({"problem": "this needs more memory than the page allows for one file"})
    except Exception as error:  # any file may be anything
        return frame({"problem": printable(f"{type(error).__name__}: {error}"[:2000])})


def _set_limits() -> None:
    limit_memory(MEMORY)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

"""The page of `rexec run --web` and `rexec up --web`: `rexec web` in a process that ends with this one."""

import importlib.util
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from devicedb.printable import printable
from rexec.cli.errors import CommandError
from rexec.ground.child import Child, ChildLost

NEEDED: Final = ("starlette", "uvicorn", "websockets", "plotly")
_START: Final = 60.0
"""Seconds for the process to begin to serve, on a slow machine."""


def need_packages(what: str) -> None:
    """Check that the packages of the extra are installed.

    Raises:
        CommandError: One is missing.

    """
    missing = next((name for name in NEEDED if importlib.util.find_spec(name) is None), None)
    if missing is not None:
        raise CommandError(f"{what} needs {missing}: pip install 'artiq-rexec[web]'")


@contextmanager
def page_beside(
    title: str,
    results: Path,
    device_db: str | None = None,
    master: tuple[int, int, int] | None = None,
    supervisor: int | None = None,
) -> Iterator[str]:
    """Serve the page while the context lasts, on this machine only; yield its address.

    Args:
        title: Name of what is shown.
        results: Folder of results.
        device_db: File of the device database; None: the master's.
        master: Notification, broadcast and control port of a master of this process, or None.
        supervisor: Control port of a supervisor of this process, or None.

    Raises:
        CommandError: It cannot be served.

    """
    need_packages("--web")
    order: dict[str, Any] = {
        "title": title or socket.gethostname(),
        "master": None if master is None else ["127.0.0.1", master[0], master[1]],
        "control": 0 if master is None else master[2],
        "device_db": device_db if device_db is not None and Path(device_db).is_file() else None,
        "supervisor": None if supervisor is None else ["127.0.0.1", supervisor],
        "results": str(results),
    }
    try:
        with Child("rexec.web.page_child", [json.dumps(order)], purpose="the page") as child:
            answer = json.loads(child.receive(_START))
            if "problem" in answer:
                raise CommandError(f"--web: {printable(answer['problem'])}")
            yield answer["url"]
    except ChildLost as error:
        raise CommandError(f"--web: {error}") from error

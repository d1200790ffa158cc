"""Executes a device database in a process of its own, so that nothing it does can stop or change the master."""

import asyncio
import json
import os
from pathlib import Path
from typing import Final

from devicedb import DatabaseLoadError, DeviceDatabase, from_dict
from rexec.ground.child import Child, ChildLost, ChildSilent
from rexec.wire import pyon

TIME_LIMIT: Final = 20.0
"""Seconds that a device database may take to run."""

START_LIMIT: Final = 120.0
"""Seconds that an interpreter may take to start: on a busy machine, or where a scanner reads each module first."""


async def load_apart(path: Path, time_limit: float = TIME_LIMIT) -> DeviceDatabase:
    """Return the device database in a file, executed by a process of its own.

    Args:
        path: The file.
        time_limit: Seconds after which the process, and whatever it started, is killed.

    Raises:
        DatabaseLoadError: With file and line, whatever the file does.

    """
    try:
        child = Child("rexec.master._child", [os.fspath(path)], purpose="its process")
        try:
            await asyncio.to_thread(child.receive, START_LIMIT)
            line = await asyncio.to_thread(child.receive, time_limit)
        finally:
            child.close(patience=0.0)
    except ChildSilent:
        problem = f"has not finished after {time_limit:g} s. A device database only defines a dict"
        raise DatabaseLoadError(str(path), None, problem) from None
    except ChildLost as error:
        problem = f"{error}. A device database only defines a dict"
        raise DatabaseLoadError(str(path), None, problem) from None
    outcome = json.loads(line)
    if "error" in outcome:
        raise DatabaseLoadError(*outcome["error"])
    return from_dict(pyon.decode(outcome["database"]), str(path))

"""Executes a device database in a process of its own, so that nothing it does can stop or change the master."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from devicedb import DatabaseLoadError, DeviceDatabase, from_dict
from rexec.wire import pyon

TIME_LIMIT: Final = 20.0
"""Seconds that a device database may take to run."""

_ROOT: Final = Path(__file__).resolve().parents[2]
_CHILD: Final = (
    f"import runpy, sys; sys.path.insert(0, {str(_ROOT)!r}); "
    f"runpy.run_path({str(Path(__file__).with_name('_child.py'))!r}, run_name='__main__')"
)


async def load_apart(path: Path, time_limit: float = TIME_LIMIT) -> DeviceDatabase:
    """Return the device database in a file, executed by a process of its own.

    Args:
        path: The file.
        time_limit: Seconds after which the process, and whatever it started, is killed.

    Raises:
        DatabaseLoadError: With file and line, whatever the file does.

    """
    with tempfile.TemporaryDirectory(prefix="rexec-devices-", ignore_cleanup_errors=True) as folder:
        result = os.path.join(folder, "result.json")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", _CHILD, os.fspath(path), result),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(time_limit):
                status = await process.wait()
        except TimeoutError:
            raise DatabaseLoadError(
                str(path),
                None,
                f"has not finished after {time_limit:g} s. A device database only defines a dict",
            ) from None
        finally:
            await _end(process)
        return _database(path, result, status)


def _database(path: Path, result: str, status: int) -> DeviceDatabase:
    try:
        outcome = json.loads(Path(result).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DatabaseLoadError(
            str(path), None, f"ended its process with status {status}. A device database only defines a dict"
        ) from None
    if "error" in outcome:
        raise DatabaseLoadError(*outcome["error"])
    return from_dict(pyon.decode(outcome["database"]), str(path))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process and what it has started, if it still runs."""
    if process.returncode is None:
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        await process.wait()

"""The child process: runs one device database and writes its picture, then ends.

Started by `devicedb.sandbox.run` as `python -P -c ... SOURCE NAME RESULT MODE SECONDS`, with standard output and
error going to a file. SOURCE is read and run as the file NAME, whose folder is searched for imports. MODE is
"traced", or "plain" for the second try of a file that does not bear instruments.
"""

import builtins
import gc
import json
import os
import sys
from types import ModuleType, TracebackType
from typing import Any, Final

from devicedb.sandbox.limits import set_limits
from devicedb.trace.imports import TracingFinder, compile_traced
from devicedb.trace.picture import Painter
from devicedb.trace.recorder import Recorder

OURS: Final = ("devicedb", "schemas")


def main(source: str, path: str, result: str, mode: str, seconds: str) -> None:
    """Run the file and write the result; the process ends without running anything else of the file's."""
    gc.disable()  # the process ends before garbage matters, and collecting costs more than all the rest
    limits = set_limits(float(seconds))
    recorder = Recorder()
    owner = os.getpid()
    with open(source, "rb") as file:
        code = file.read()
    try:
        answer = run(code, path, recorder, is_traced=mode == "traced")
    except BaseException as error:  # a device database may raise anything, SystemExit too
        answer = {"error": describe(error, path)}
    if os.getpid() != owner:
        os._exit(0)  # the file has forked; only the first process reports
    answer["processes"] = limits.started
    answer["files"] = recorder.files
    answer["duplicates"] = recorder.duplicates
    answer["sites"] = recorder.sites
    sys.stdout.flush()
    sys.stderr.flush()
    with open(result, "w", encoding="utf-8") as sink:
        sink.write(json.dumps(answer, separators=(",", ":")))
    os._exit(0)  # no threads, no atexit handlers


def run(source: bytes, path: str, recorder: Recorder, *, is_traced: bool) -> dict[str, Any]:
    """Execute the file in a new module and return the picture of its `device_db`."""
    module = ModuleType(os.path.splitext(os.path.basename(path))[0])
    module.__file__ = path
    if is_traced:
        recorder.install()
        code = compile_traced(source, path, recorder)
        sys.meta_path.insert(0, TracingFinder(recorder))
    else:
        code = compile(source, path, "exec", dont_inherit=True)
    # A sibling may be named like one of our packages.
    for name in [each for each in sys.modules if each.partition(".")[0] in OURS]:
        del sys.modules[name]
    sys.path[0] = os.path.dirname(path)
    sys.dont_write_bytecode = True
    exec(code, vars(module))  # noqa: S102  # this is what the process is for
    if "device_db" not in vars(module):
        names = [name for name in vars(module) if not name.startswith("__")]
        return {"missing": names[:1000]}
    return {"root": Painter(recorder).node(vars(module)["device_db"], recorder.databases.get(0))}


def describe(error: BaseException, path: str) -> dict[str, Any]:
    """Return kind, text and place (of the laboratory's own code) of what the file raised."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return {
            "kind": "SyntaxError",
            "text": str(error.msg),
            "file": error.filename or path,
            "line": error.lineno or 1,
            "column": error.offset or 1,
        }
    file, line = _place(error.__traceback__, path)
    text = _text(error)
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    kind = "SystemExit" if isinstance(error, SystemExit) else kind
    return {"kind": kind, "text": text, "file": file, "line": line, "column": 1, "missing": missing}


def _text(error: BaseException) -> str:
    try:
        return " ".join(builtins.str(error).split())[:500]
    except Exception:  # an exception class of the laboratory may fail at its own text
        return ""


def _place(traceback: TracebackType | None, path: str) -> tuple[str, int]:
    """The innermost frame in the laboratory's own files."""
    file, line = path, 1
    folder = os.path.dirname(path) + os.sep
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if name.startswith(folder) and "site-packages" not in name:
            file, line = name, traceback.tb_lineno
        traceback = traceback.tb_next
    return file, line

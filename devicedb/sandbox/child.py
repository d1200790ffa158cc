"""The child process: runs one device database and writes its picture, then ends.

Started by `devicedb.sandbox.run`, with standard output and error going to a file. Its arguments come by standard input,
so that the file finds them nowhere: the source, the name that it is run under (whose folder is searched for imports),
the file for the result, the mode ("traced", or "plain" for a file that fails when instrumented), the time limit, the
packages to assume installed, and the lifeline to the parent.
"""

import builtins
import gc
import json
import os
import sys
from types import ModuleType, TracebackType
from typing import Any, Final

from devicedb.sandbox.assumed import ITERATED, assume_installed
from devicedb.sandbox.lifeline import end_with_parent
from devicedb.sandbox.limits import set_limits
from devicedb.sandbox.prints import note_prints
from devicedb.sandbox.result import pairs_file, write_result
from devicedb.trace.imports import TracingFinder, compile_traced
from devicedb.trace.literal import NotLiteralError, draw_literal
from devicedb.trace.picture import Painter
from devicedb.trace.recorder import SiteRecorder
from devicedb.trace.sites import SiteTable

OURS: Final = ("devicedb", "schemas")
OWNER: Final = os.getpid()


def main() -> None:
    """Run the file, write the result and end; exit handlers and threads of the file do not run."""
    source, path, result, mode, seconds, assumed, inherited = json.loads(sys.stdin.buffer.readline())
    for descriptor in inherited:
        end_with_parent(descriptor)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    sys.argv[:] = [path]
    gc.disable()  # the process is short-lived; collection costs more than all the rest
    limits = set_limits(float(seconds))
    recorder = SiteRecorder()
    prints = note_prints(path)
    assume_installed(assumed)
    with open(source, "rb") as file:
        code = file.read()
    is_traced = mode == "traced"
    try:
        answer = (draw(code, path, recorder, result) if is_traced else None) or run(
            code, path, recorder, result, is_traced=is_traced
        )
    except BaseException as error:  # a device database may raise anything, SystemExit too
        answer = {"error": describe(error, path)}
    end_if_forked()
    answer["processes"] = limits.started
    answer["prints"] = prints
    answer["incomplete"] = bool(ITERATED)
    answer["files"] = recorder.files
    answer["duplicates"] = recorder.duplicates
    sys.stdout.flush()
    sys.stderr.flush()
    write_result(result, answer, recorder.sites)
    os._exit(0)  # no threads, no atexit handlers


def end_if_forked() -> None:
    """End a process that the file has forked; only the first one reports."""
    if os.getpid() != OWNER:
        os._exit(0)


def draw(source: bytes, path: str, recorder: SiteRecorder, result: str) -> dict[str, Any] | None:
    """Return the picture of a file that need not be run, None for any other."""
    sites = SiteTable()
    try:
        with pairs_file(result) as write:
            root = draw_literal(source, path, sites, write)
    except NotLiteralError:
        return None
    recorder.files.append(path)
    recorder.sites = sites
    return {"root": root}


def run(source: bytes, path: str, recorder: SiteRecorder, result: str, *, is_traced: bool) -> dict[str, Any]:
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
    end_if_forked()
    if "device_db" not in vars(module):
        names = [name for name in vars(module) if not name.startswith("__")]
        return {"missing": names[:1000]}
    value, site = vars(module)["device_db"], recorder.databases.get(0)
    encode = json.JSONEncoder(separators=(",", ":")).encode
    with pairs_file(result) as write:
        return {"root": Painter(recorder).root(value, site, lambda pair: write([encode(pair)]))}


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
    except Exception:  # str() of the laboratory's exception may raise
        return ""


def _place(traceback: TracebackType | None, path: str) -> tuple[str, int]:
    """Return the innermost frame in the laboratory's own files."""
    file, line = path, 1
    folder = os.path.dirname(path) + os.sep
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if name.startswith(folder) and "site-packages" not in name:
            file, line = name, traceback.tb_lineno
        traceback = traceback.tb_next
    return file, line

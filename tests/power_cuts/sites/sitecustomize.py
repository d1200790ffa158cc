"""Notes which line of the product asks for each sync, in every process of a recorded program."""

import json
import os
import sys
from collections.abc import Callable

_marks = os.open(os.environ["REXEC_POWER_CUT_MARKS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


_NAMES = {"sync_folder_of", "sync_file", "put_in_place", "make_folder", "sync_descriptor"}
"""Functions whose callers decide."""


def _noting(real: Callable[[int], None]) -> Callable[[int], None]:
    def sync(file: int) -> None:
        frame = sys._getframe(1)
        while frame.f_code.co_name in _NAMES and frame.f_back is not None:
            frame = frame.f_back
        code = frame.f_code
        path = "/".join(code.co_filename.split(os.sep)[-3:])
        os.write(_marks, json.dumps({"site": f"{path}:{frame.f_lineno} {code.co_name}"}).encode() + b"\n")
        real(file)

    return sync


os.fsync = _noting(os.fsync)  # type: ignore[assignment]
if hasattr(os, "fdatasync"):
    os.fdatasync = _noting(os.fdatasync)  # type: ignore[assignment]

"""Where results are kept: ARTIQ's folders and file names, and the numbers of the runs.

ROOT/last_rid.pyon                                the number given last
ROOT/results/YYYY-MM-DD/HH/000000042-Class.h5     a run, named after the local time of its build
…/000000042-Class.h5.journal                      beside it while the run goes on, or after a crash
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from devicedb.opening import once_free
from devicedb.whole_file import make_folder, write_whole
from rexec.ground.file_names import file_name
from rexec.results._files import locked
from rexec.results.errors import ResultsError, ResultsNotWritable, hint, reason

_log = logging.getLogger(__name__)

JOURNAL_SUFFIX: Final = ".journal"
"""What a journal's name has beyond the name of its result file."""

DAMAGED_SUFFIX: Final = ".damaged"
"""What the name of a journal gets that could not be read to its end, when what was readable is in the file."""

_RID_FILE: Final = "last_rid.pyon"
_RESULT: Final = re.compile(r"(?P<rid>\d{1,18})-.*\.h5(\.journal)?")


def results_path(root: Path, rid: int, class_name: str, when: datetime) -> Path:
    """Return the path of a run's result file in ARTIQ's layout; nothing is created.

    Args:
        root: The folder that holds `results` and `last_rid.pyon` (not `results` itself).
        rid: Number of the run.
        class_name: Name of the experiment class.
        when: Local time of the build.

    """
    name = file_name(class_name, prefix=f"{rid:09}-", suffix=".h5")
    return root / "results" / f"{when:%Y-%m-%d}" / f"{when:%H}" / name


def journal_path(path: Path) -> Path:
    """Return the path of the journal of the result file `path`."""
    return path.parent / (path.name + JOURNAL_SUFFIX)  # the root has no name


def next_rid(root: Path) -> int:
    """Claim the next run number in `root`; no two processes get the same one.

    The number given last is in `last_rid.pyon` (ARTIQ's file and format). A missing, empty or broken file is
    replaced: the results folder then tells the highest number in use.

    Raises:
        ResultsNotWritable: When the folder cannot be written.

    """
    with _writable(root):
        make_folder(root)
        with locked(root / f".{_RID_FILE}.lock"):
            last = _last_rid(root)
            write_whole(root / _RID_FILE, f"{last + 1}\n".encode())
            return last + 1


def _last_rid(root: Path) -> int:
    path = root / _RID_FILE
    if not path.exists():
        return _highest_rid(root)
    if not path.is_file():  # a pipe would be waited for, for ever
        raise ResultsNotWritable(f"cannot number a run: {path} is no regular file; remove it")
    text = once_free(lambda: path.read_text(encoding="utf-8", errors="replace")).strip()
    if re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    last = _highest_rid(root)
    _log.warning("%s holds %r, not a number; going on after rid %d, the last in %s", path, text[:40], last,
                 root / "results")  # fmt: skip
    return last


def _highest_rid(root: Path) -> int:
    names = (entry.name for entry in (root / "results").glob("*/*/*.h5*"))
    return max((int(match["rid"]) for name in names if (match := _RESULT.fullmatch(name))), default=-1)


@contextmanager
def _writable(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = Path(error.filename2 or error.filename or _RID_FILE).name
        raise ResultsNotWritable(
            f"cannot number a run in {root}: {reason(error)} ({name}){hint(error)}; run in a folder that you may "
            "write, or name the result file yourself"
        ) from error


__all__ = ["JOURNAL_SUFFIX", "ResultsError", "journal_path", "next_rid", "results_path"]

"""Where results are, and where their index is kept."""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from rexec.catalogue.index import INDEX_NAME, RunIndex
from rexec.catalogue.index_file import IndexUnusable
from rexec.catalogue.refreshing import ReadingProgress, Refreshing
from rexec.results.errors import ResultsError

RESULTS: Final = "results"
"""Name of the folder of results, in the laboratory's folder."""

Answer = TypeVar("Answer")


def results_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of results.

    Args:
        given: The one that was named; None: `results` in the current folder, or the current folder if it is below one.

    Raises:
        ResultsError: There is none.

    """
    if given is not None:
        folder = Path(given)
        if not folder.is_dir():
            raise ResultsError(f"there is no folder {folder}; name the folder of results")
        return folder
    if Path(RESULTS).is_dir():
        return Path(RESULTS)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if folder.name == RESULTS:
            return folder
    raise ResultsError(
        f"there is no folder {RESULTS} here; go to the laboratory's folder, or name the folder of results "
        "with --in FOLDER"
    )


def with_index(
    root: Path,
    action: Callable[[RunIndex, Refreshing], Answer],
    *,
    check: bool = False,
    progress: ReadingProgress | None = None,
) -> Answer:
    """Run an action on the index of a folder, brought up to date; return its result.

    Where the index cannot be used (a read-only folder, a file system without locks, a newer version), there is one
    in the user's cache; where that cannot be used either, a temporary one. The answer is the same.

    Args:
        root: The folder of results.
        action: Gets the index, and what brings it up to date.
        check: Whether to look at each file, however many there are.
        progress: Told how reading goes on.

    """
    for path in _places(root):
        try:
            with RunIndex(path) as index:
                refreshing = Refreshing(index, root, check=check, progress=progress)
                refreshing.run()
                return action(index, refreshing)
        except (sqlite3.Error, IndexUnusable, OSError, ValueError, LookupError):
            if path is None:
                raise
    raise AssertionError("a temporary index is tried last")


def _places(root: Path) -> Iterator[Path | None]:
    """Yield where an index may be; the first twice, because another process may have replaced it."""
    yield root / INDEX_NAME
    yield root / INDEX_NAME
    cached = _cached(root)
    if cached is not None:
        yield cached
    yield None


def _cached(root: Path) -> Path | None:
    base = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(base) if base else Path.home() / ".cache") / "artiq-rexec"
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()
    except (OSError, RuntimeError):  # there is no home
        return None
    return folder / f"runs-{digest[:16]}.sqlite"

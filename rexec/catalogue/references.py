"""A run by its number, or as "last", wherever the path of a result file can be given."""

import os
import re
from pathlib import Path
from typing import Final

from devicedb.printable import printable
from devicedb.suggest import did_you_mean
from rexec.catalogue.found import find
from rexec.catalogue.found_run import FoundRun
from rexec.catalogue.listing import SUFFIXES
from rexec.catalogue.places import results_folder
from rexec.catalogue.refreshing import ReadingProgress
from rexec.results.errors import ResultsError
from rexec.results.layout import DAMAGED_SUFFIX, JOURNAL_SUFFIX

_REFERENCE: Final = re.compile(r"(?P<rid>\d{1,18})|last(:(?P<class>[^/\\]+))?|-(?P<back>\d{1,9})")
_RUNS: Final = "kind=run,artiq,artiq_run"
_MOST_NAMED: Final = 6


def is_reference(text: str) -> bool:
    """Return whether a text names a run by its number or as "last", and is not the name of a file that is there."""
    return _REFERENCE.fullmatch(text) is not None and not os.path.lexists(text)


def names_a_run(text: str) -> bool:
    """Return whether a text names a run: as a reference, or as a result file."""
    return is_reference(text) or text.endswith((*SUFFIXES, JOURNAL_SUFFIX)) or os.path.isfile(text)


def run_path(
    which: str | int | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    progress: ReadingProgress | None = None,
) -> Path:
    """Return the result file of a run.

    Args:
        which: The number of a run (42), "last", "last:Ramsey", -1 (the last), -2 (the one before it) …, or a path,
            which is returned as it is; on Windows with the file's name as its folder has it.
        folder: The folder of results; None: `results` in the current folder.
        progress: Told the progress of reading files that are new to the index.

    Raises:
        ResultsError: There is no such run, or there are several: the text says which.

    """
    if isinstance(which, os.PathLike):
        return _as_named(Path(which))
    text = str(which)
    if isinstance(which, str) and not is_reference(text):
        return _as_named(Path(text))
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise ResultsError(f"no run is called {text}; name its number, last, last:CLASS or -2")
    root = results_folder(folder)
    if match["rid"] is not None:
        return _numbered(int(match["rid"]), root, progress)
    if match["class"] is not None:
        return _last_of(match["class"], root, progress)
    back = int(match["back"] or 1)
    if back < 1:
        raise ResultsError("-1 is the last run, -2 the one before it; there is no run -0")
    found = find(_RUNS, folder=root, limit=back, progress=progress)
    if not found:
        raise ResultsError(f"there are no runs in {root}")
    if len(found) < back:
        raise ResultsError(f"there is no run {text} in {root}: it has {_count(len(found))}")
    return found[back - 1].path


def _as_named(path: Path) -> Path:
    """Return a path with the file's own name, by which its notes are found: Windows opens it by others, too."""
    if os.name != "nt" or not path.exists():
        return path
    typed = path.name.rstrip(". ").casefold()
    return next((path.with_name(each) for each in os.listdir(path.parent) if each.casefold() == typed), path)


def _numbered(rid: int, root: Path, progress: ReadingProgress | None) -> Path:
    found = find(f"rid={rid}", folder=root, progress=progress)
    whole = [run for run in found if not run.path.name.endswith(f"{DAMAGED_SUFFIX}.h5")] or list(found)
    if len(whole) == 1:
        return whole[0].path
    if whole:
        listed = ", ".join(_described(run) for run in whole[:_MOST_NAMED])
        more = f" and {len(whole) - _MOST_NAMED} more" if len(whole) > _MOST_NAMED else ""
        raise ResultsError(f"{len(whole)} files in {root} are of run {rid}: {listed}{more}; name one of them")
    for run in find("kind=unreadable", folder=root):
        if run.path.name.startswith(f"{rid:09}-"):  # its name has the number: see results_path
            raise ResultsError(f"run {rid}: {run.path} cannot be read: {run.facts.problem}")
    newest = find(_RUNS, folder=root, limit=1)
    last = f"; its last run is {newest[0].name}" if newest else ""
    raise ResultsError(f"there is no run {rid} in {root}{last}. `rexec results list` lists what there is")


def _last_of(class_name: str, root: Path, progress: ReadingProgress | None) -> Path:
    quoted = class_name.replace('"', "")
    found = find(f'{_RUNS} class="{quoted}"', folder=root, limit=1, progress=progress)
    if found:
        return found[0].path
    names = sorted({run.class_name for run in find(_RUNS, folder=root, limit=1000)} - {""})
    known = f"its classes are {', '.join(names[:_MOST_NAMED])}" if names else "it has no runs"
    raise ResultsError(
        printable(f"there is no run of {class_name!r} in {root}; {known}.{did_you_mean(class_name, names)}")
    )


def _described(run: FoundRun) -> str:
    return f"{run.path} ({run.class_name or run.facts.kind}, {run.time:%Y-%m-%d %H:%M})"


def _count(number: int) -> str:
    return f"{number} run{'' if number == 1 else 's'}"

"""The files that PATH arguments name."""

import os
from collections.abc import Sequence
from pathlib import Path

from devicedb.check.engine import Subject
from devicedb.errors import DatabaseLoadError


def subjects(paths: Sequence[str]) -> tuple[list[Subject], list[str]]:
    """Return the device databases that paths name, in order, and notes about files of folders that are none.

    Args:
        paths: Files, or folders that are searched.

    Raises:
        DatabaseLoadError: A folder has no device database.

    """
    found: list[Subject] = []
    notes: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            from devicedb.check.databases import databases_in

            inside, others = databases_in(Path(path))
            if not inside:
                named = f"; not one of them: {', '.join(map(str, others))}" if others else ""
                raise DatabaseLoadError(path, None, f"there is no device database in this folder{named}")
            found += [Subject(each, str(each)) for each in inside]
            notes += [f"{each}: defines no global device_db, or is a script; not checked" for each in others]
        else:
            found.append(Subject(Path(path), path))
    return found, notes

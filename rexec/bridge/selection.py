"""Assigns datasets to files by name: pure functions."""

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Final

from rexec.ground.file_names import file_name

MAIN: Final = "datasets"
"""Name of the file of all datasets that match no `split`."""


@dataclass(frozen=True)
class DatasetSelection:
    """Rules for names of datasets.

    Attributes:
        include: Globs (`*`, `?`, `[abc]`; `*` also matches dots and slashes); one must match.
        exclude: Globs; none may match.
        split: Prefixes whose datasets have a file of their own; `*` matches anything but dots and slashes, so that
            `ndscan.rid_*.` makes one file for each run.

    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    split: tuple[str, ...] = field(default=())

    def file_of(self, key: str) -> str | None:
        """Return the name of a dataset's file, without folder and suffix; None if it is not kept."""
        if not any(fnmatchcase(key, glob) for glob in self.include):
            return None
        if any(fnmatchcase(key, glob) for glob in self.exclude):
            return None
        for pattern in self._beginnings:
            found = pattern.match(key)
            if found is not None:
                return file_name(found[0].rstrip("./"), taken={MAIN})
        return MAIN

    @cached_property
    def _beginnings(self) -> list[re.Pattern[str]]:
        return [
            re.compile("".join("[^./]*" if each == "*" else re.escape(each) for each in pattern))
            for pattern in self.split
        ]

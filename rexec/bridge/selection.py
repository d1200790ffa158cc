"""Which datasets are kept, and in which file: pure functions of a dataset's name."""

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Final
from urllib.parse import quote

MAIN: Final = "datasets"
"""Name of the file of everything that no `split` sends elsewhere."""

_SAFE: Final = " !#$&'()+,;=@[]{}~"


@dataclass(frozen=True)
class Selection:
    """Rules for names of datasets.

    Attributes:
        include: Globs (`*`, `?`, `[abc]`; `*` stands for dots and slashes too) of which one must fit.
        exclude: Globs of which none may fit.
        split: Beginnings of names whose datasets have a file of their own; `*` stands for anything but dots and
            slashes, so that `ndscan.rid_*.` makes one file for each run.

    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    split: tuple[str, ...] = field(default=())

    def part(self, key: str) -> str | None:
        """Return the name of the file that a dataset goes into, without folder and suffix; None: it is not kept."""
        if not any(fnmatchcase(key, glob) for glob in self.include):
            return None
        if any(fnmatchcase(key, glob) for glob in self.exclude):
            return None
        for pattern in self._beginnings:
            found = pattern.match(key)
            if found is not None:
                return file_name(found[0].rstrip("./"))
        return MAIN

    @cached_property
    def _beginnings(self) -> list[re.Pattern[str]]:
        return [
            re.compile("".join("[^./]*" if each == "*" else re.escape(each) for each in pattern))
            for pattern in self.split
        ]


def file_name(text: str) -> str:
    """Return a name that every file system takes, readable where the text allows it; no two texts have the same."""
    name = quote(text, safe=_SAFE)
    # A leading dot hides a file, and the name of the main file is taken.
    return (
        name.replace(".", "%2E", 1)
        if name.startswith(".") or not name
        else f"{name}%20"
        if name == MAIN
        else name
    )

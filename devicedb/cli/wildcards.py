"""File names with `*` and `?`, which the shells of Windows leave to the program."""

import argparse
import glob
import os
from collections.abc import Sequence
from typing import Any, ClassVar, Final

_IS_OURS: Final = os.name == "nt"
_MOST_NAMED: Final = 4


def matching(names: Sequence[Any]) -> list[Any]:
    """Return names of files, str or Path, with each pattern replaced by the files that match it, sorted.

    As in a shell, a pattern that nothing matches stays. `[` is no wildcard on Windows.
    """
    found: list[Any] = []
    for name in names:
        files = glob.glob(str(name).replace("[", "[[]")) if _is_pattern(name) else []
        found += [type(name)(each) for each in sorted(files)] or [name]
    return found


def _is_pattern(name: Any) -> bool:
    return _IS_OURS and not frozenset("*?").isdisjoint(str(name).removeprefix("\\\\?\\"))


class NamedFiles(argparse.Action):
    """Stores the files that an argument names: one, or with `nargs` a list."""

    takes_words: ClassVar[bool] = False
    """Whether a pattern that nothing matches may be something else than files."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        """Store what `values` name; ArgumentError if that is nothing, or must be one and is several."""
        found = matching([values] if self.nargs is None else values)
        missing = next(filter(_is_pattern, found), None)
        if missing is not None and not self.takes_words:
            raise argparse.ArgumentError(self, f"no file matches {missing}")
        if self.nargs is not None:
            setattr(namespace, self.dest, found)
            return
        if len(found) > 1:
            more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
            listed = ", ".join(map(str, found[:_MOST_NAMED]))
            raise argparse.ArgumentError(
                self, f"{values} names {len(found)} files: {listed}{more}; name one of them"
            )
        setattr(namespace, self.dest, found[0])


class NamedFilesOrWords(NamedFiles):
    """Stores files and other words, for example datasets."""

    takes_words = True

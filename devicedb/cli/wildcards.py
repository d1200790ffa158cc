"""File names with `*` and `?`, which the shells of Windows leave to the program."""

import argparse
import glob
import os
from collections.abc import Sequence
from typing import Any, Final

_IS_OURS: Final = os.name == "nt"
_MOST_NAMED: Final = 4


def matching(names: Sequence[Any]) -> list[Any]:
    """Return names of files, str or Path, with each pattern replaced by the files that match it, sorted.

    As in a shell, a pattern that nothing matches stays. `[` is no wildcard on Windows.
    """
    found: list[Any] = []
    for name in names:
        pattern = str(name).replace("[", "[[]")
        files = glob.glob(pattern) if _IS_OURS and ("*" in pattern or "?" in pattern) else []
        found += [type(name)(each) for each in sorted(files)] or [name]
    return found


class NamedFiles(argparse.Action):
    """Stores the files that an argument names: one, or with `nargs` a list."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        """Store what `values` name; ArgumentError if it must be one and is several."""
        if self.nargs is not None:
            setattr(namespace, self.dest, matching(values))
            return
        found = matching([values])
        if len(found) > 1:
            more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
            listed = ", ".join(map(str, found[:_MOST_NAMED]))
            raise argparse.ArgumentError(
                self, f"{values} names {len(found)} files: {listed}{more}; name one of them"
            )
        setattr(namespace, self.dest, found[0])

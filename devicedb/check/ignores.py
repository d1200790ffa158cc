"""Comments in a device database that silence a finding: `# ddb: ignore[DDB406]`."""

import re
from collections.abc import Sequence
from typing import Final

COMMENT: Final = re.compile(r"#\s*ddb:\s*ignore(?:\[(?P<codes>[A-Za-z0-9_,\s]*)\])?")


def is_ignored(code: str, lines: Sequence[str], numbers: Sequence[int]) -> bool:
    """Return whether a comment at the end of one of the lines silences a rule.

    Args:
        code: The rule.
        lines: All lines of the file.
        numbers: 1-based numbers of the lines to look at.

    """
    for number in numbers:
        if not 1 <= number <= len(lines):
            continue
        found = COMMENT.search(lines[number - 1])
        if found is None:
            continue
        codes = found["codes"]
        if codes is None or any(code.startswith(each.strip()) for each in codes.split(",") if each.strip()):
            return True
    return False

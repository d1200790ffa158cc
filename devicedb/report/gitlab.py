"""The report as a GitLab code quality file, a subset of the Code Climate format."""

import hashlib
import json
from typing import Final

from devicedb.check.finding import Report
from devicedb.model.rule import Severity

LEVEL: Final = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.INFO: "info"}


def render(report: Report) -> str:
    """Return the list of issues. Fingerprints stay when lines move, so that an old issue is not a new one."""
    issues = []
    seen: dict[str, int] = {}
    for each in report.each():
        text = "\0".join((each.code, each.file, each.entry, each.message))
        again = seen[text] = seen.get(text, -1) + 1
        issues.append(
            {
                "description": f"{each.message}. {each.hint}" if each.hint else each.message,
                "check_name": each.code,
                "fingerprint": hashlib.sha256(f"{text}\0{again}".encode(errors="replace")).hexdigest(),
                "severity": LEVEL[each.severity],
                "location": {"path": each.file, "lines": {"begin": each.line, "end": each.end_line}},
            }
        )
    return json.dumps(issues, indent=2) + "\n"

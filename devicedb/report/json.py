"""The report as one JSON object; `schemas/report.schema.json` describes it."""

import json
from dataclasses import asdict
from typing import Any

from devicedb.check.finding import Report

VERSION = 1


def as_dict(report: Report) -> dict[str, Any]:
    """Return the object: `version`, `findings` and `summary`."""
    return {
        "version": VERSION,
        "findings": [asdict(finding) for finding in report.findings],
        "summary": {
            "files": list(report.files),
            "by_severity": report.by_severity(),
            "by_code": report.by_code(),
            "ignored": report.ignored,
            "notes": list(report.notes),
        },
    }


def render(report: Report) -> str:
    """Return the report as JSON."""
    return json.dumps(as_dict(report), indent=2) + "\n"

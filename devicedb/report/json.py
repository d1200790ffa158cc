"""The report as one JSON object; `schemas/report.schema.json` describes it."""

import json
from dataclasses import asdict, replace
from typing import Any

from devicedb.check.finding import Finding, Report

VERSION = 1


def as_dict(report: Report) -> dict[str, Any]:
    """Return the object: `version`, `findings` and `summary`."""
    return {
        "version": VERSION,
        "findings": [_finding(each) for each in report.findings],
        "summary": {
            "files": list(report.files),
            "by_severity": report.by_severity(),
            "by_code": report.by_code(),
            "ignored": report.ignored,
            "notes": list(report.notes),
        },
    }


def _finding(finding: Finding) -> dict[str, Any]:
    facts = asdict(replace(finding, alike=()))
    del facts["alike"]
    return {**facts, "message": finding.text, "entries": list(finding.entries)}


def render(report: Report) -> str:
    """Return the report as JSON."""
    return json.dumps(as_dict(report), indent=2) + "\n"

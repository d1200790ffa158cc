"""Writes a report: as text for people, or in a format that other programs read. Pure functions, str out."""

from collections.abc import Callable
from importlib import import_module
from typing import Final, cast

from devicedb.check.finding import Report

FORMATS: Final = ("text", "json", "github", "gitlab", "sarif", "junit")
"""Each is a module here with `render(report) -> str`; text is rendered with more arguments."""


def render(report: Report, form: str) -> str:
    """Return a report in one of the formats."""
    module = import_module(f"devicedb.report.{form}")
    return cast(Callable[[Report], str], module.render)(report)

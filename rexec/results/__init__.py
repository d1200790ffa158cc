"""Results of runs: a journal that holds every change at once, and an HDF5 file in ARTIQ's layout made of it.

Public names are imported on first use: the catalogue answers from its index without HDF5.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rexec.catalogue import find
    from rexec.catalogue.opening import open
    from rexec.results.at_once import write_results
    from rexec.results.degraded import DegradedStates
    from rexec.results.errors import JournalDamaged, ResultsError, ResultsMismatch, ResultsNotWritable
    from rexec.results.layout import journal_path, next_rid, results_path
    from rexec.results.reading.runs import Run
    from rexec.results.reading.verifying import verify
    from rexec.results.recovery import (
        Recovery,
        orphans,
        recover,
        recover_damaged,
        recover_folder,
        recover_some,
    )
    from rexec.results.status import Status, status_of
    from rexec.results.writer import ResultsWriter

_HOMES: Final = {
    "rexec.catalogue": ("find",),
    "rexec.catalogue.opening": ("open",),
    "rexec.results.at_once": ("write_results",),
    "rexec.results.degraded": ("DegradedStates",),
    "rexec.results.errors": ("JournalDamaged", "ResultsError", "ResultsMismatch", "ResultsNotWritable"),
    "rexec.results.layout": ("journal_path", "next_rid", "results_path"),
    "rexec.results.reading.runs": ("Run",),
    "rexec.results.reading.verifying": ("verify",),
    "rexec.results.recovery": (
        "Recovery",
        "orphans",
        "recover",
        "recover_damaged",
        "recover_folder",
        "recover_some",
    ),
    "rexec.results.status": ("Status", "status_of"),
    "rexec.results.writer": ("ResultsWriter",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "DegradedStates",
    "JournalDamaged",
    "Recovery",
    "ResultsError",
    "ResultsMismatch",
    "ResultsNotWritable",
    "ResultsWriter",
    "Run",
    "Status",
    "find",
    "journal_path",
    "next_rid",
    "open",
    "orphans",
    "recover",
    "recover_damaged",
    "recover_folder",
    "recover_some",
    "results_path",
    "status_of",
    "verify",
    "write_results",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

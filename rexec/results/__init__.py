"""Results of runs: a journal that holds every change at once, and an HDF5 file in ARTIQ's layout made of it."""

from rexec.results.errors import JournalDamaged, ResultsError, ResultsMismatch, ResultsNotWritable
from rexec.results.layout import journal_path, next_rid, results_path
from rexec.results.reading import Run, open
from rexec.results.recovery import Recovery, orphans, recover, recover_folder
from rexec.results.verify import verify
from rexec.results.writer import ResultsWriter, write_results

__all__ = [
    "JournalDamaged",
    "Recovery",
    "ResultsError",
    "ResultsMismatch",
    "ResultsNotWritable",
    "ResultsWriter",
    "Run",
    "journal_path",
    "next_rid",
    "open",
    "orphans",
    "recover",
    "recover_folder",
    "results_path",
    "verify",
    "write_results",
]

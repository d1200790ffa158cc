"""Opens a result file by its path, or by the number of its run."""

import os

from rexec.catalogue.references import run_path
from rexec.results.reading.runs import Run


def open(  # noqa: A001,RUF100 - reads as `results.open`
    run: str | int | os.PathLike[str], *, folder: str | os.PathLike[str] | None = None, external: bool = False
) -> Run:
    """Open a result file of this toolkit or of ARTIQ.

    Args:
        run: The file; or the number of a run, "last", "last:Ramsey", or -2 (the one before the last).
        folder: The folder of results in which the run is; None: `results` in the current folder.
        external: Whether to read data that the file says are in other files.

    Raises:
        ResultsError: It is not there, there are several, or it cannot be opened.

    """
    return Run(run_path(run, folder), external=external)

"""The catalogue of results: finds runs by what they are, from an index that saves reading their files.

`find("class=Ramsey phase>0.1 since=monday")` gives runs, `run_path("last:Ramsey")` the file of one. HDF5 is loaded
only where a file is read that the index does not have yet.
"""

from rexec.catalogue.found import FoundRuns, find, run_at
from rexec.catalogue.found_run import FoundRun
from rexec.catalogue.references import run_path
from rexec.catalogue.terms import QueryError

__all__ = ["FoundRun", "FoundRuns", "QueryError", "find", "run_at", "run_path"]

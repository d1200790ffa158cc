"""The reference library's names, answered by ours: `python -m rexec.sipyco PROGRAM` runs a program unchanged.

Only names are shared (`COUNTERPARTS`); nothing of the reference library is here, and none needs to be installed.
"""

from rexec.sipyco._counterparts import COUNTERPARTS, REFERENCE, missing
from rexec.sipyco._finder import answer_imports, answered_imports

__all__ = ["COUNTERPARTS", "REFERENCE", "answer_imports", "answered_imports", "missing"]

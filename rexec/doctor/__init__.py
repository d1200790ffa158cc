"""A live audit of the controllers of a device database that names causes, not symptoms."""

from rexec.doctor.audit import run
from rexec.doctor.diagnose import Audit, diagnose
from rexec.doctor.finding import Finding

__all__ = ["Audit", "Finding", "diagnose", "run"]

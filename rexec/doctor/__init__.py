"""A live audit of the controllers of a device database that names causes, not symptoms."""

from rexec.doctor.audit import audit
from rexec.doctor.diagnose import diagnose
from rexec.doctor.finding import Finding

__all__ = ["Finding", "audit", "diagnose"]

"""Audits the controllers of a device database over the network, and names causes instead of symptoms."""

from rexec.doctor.audit import run
from rexec.doctor.diagnose import Audit, diagnose
from rexec.doctor.diagnosis import Diagnosis

__all__ = ["Audit", "Diagnosis", "diagnose", "run"]

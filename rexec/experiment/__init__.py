"""Experiments: the language they are written in, and the runner (`rexec.experiment.runner`).

The public names are those that `from rexec.experiment import *` is meant for, with ARTIQ's meaning: all of
`artiq.experiment`, units included.
"""

from rexec.experiment import language as _language
from rexec.experiment.arguments import BooleanValue, EnumerationValue, NumberValue, PYONValue, StringValue
from rexec.experiment.environment import EnvExperiment, Experiment, HasEnvironment
from rexec.experiment.errors import (
    ArgumentError,
    CancelledArgsError,
    DefaultMissing,
    ExperimentClassError,
    ExperimentError,
    ExperimentFileError,
    ExperimentImportError,
    NeedsMasterError,
    NoDefault,
    TerminationRequested,
)
from rexec.experiment.hints import dataset_storage, default_plot
from rexec.experiment.language import *  # noqa: F403  # their __all__ is part of ours
from rexec.experiment.scan import (
    CenterScan,
    ExplicitScan,
    MultiScanManager,
    NoScan,
    RangeScan,
    Scannable,
    ScanObject,
)
from rexec.ground import units as _units
from rexec.ground.units import *  # noqa: F403  # their __all__ is part of ours

__all__ = [
    *_units.__all__,
    *_language.__all__,
    "ArgumentError",
    "BooleanValue",
    "CancelledArgsError",
    "CenterScan",
    "DefaultMissing",
    "EnumerationValue",
    "EnvExperiment",
    "Experiment",
    "ExperimentClassError",
    "ExperimentError",
    "ExperimentFileError",
    "ExperimentImportError",
    "ExplicitScan",
    "HasEnvironment",
    "MultiScanManager",
    "NeedsMasterError",
    "NoDefault",
    "NoScan",
    "NumberValue",
    "PYONValue",
    "RangeScan",
    "ScanObject",
    "Scannable",
    "StringValue",
    "TerminationRequested",
    "dataset_storage",
    "default_plot",
]

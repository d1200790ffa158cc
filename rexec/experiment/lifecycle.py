"""The life of an experiment: build, prepare, run, notify_run_end, analyze, and its devices closed."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rexec.devices import DeviceManager
from rexec.experiment.argument_manager import ArgumentManager
from rexec.experiment.errors import is_termination
from rexec.experiment.interrupts import Interrupts
from rexec.experiment.stand_ins import Scheduler

logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """How a run went."""

    phase: str = "build"
    """The last phase that was begun: build, prepare, run, notify_run_end or analyze."""
    error: BaseException | None = None
    """What ended it, if it did not end by itself."""
    run_time: float | None = None
    """When run() began, seconds since the epoch."""
    interrupted: bool = False
    """Whether somebody asked it to end."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each phase took."""

    @property
    def built(self) -> bool:
        """Whether there is an experiment that can have data."""
        return self.phase != "build"


@dataclass(frozen=True)
class Hooks:
    """What the surroundings of a run want to know while it goes on."""

    phase: Callable[[str], None]
    """Called with the name of each phase when it begins."""
    built: Callable[[], None]
    """Called when arguments and devices are known."""
    running: Callable[[float], None]
    """Called with the time, in seconds since the epoch, when run() begins."""


def live(
    experiment: type[Any],
    devices: DeviceManager,
    datasets: Any,
    arguments: ArgumentManager,
    scheduler: Scheduler,
    interrupts: Interrupts,
    hooks: Hooks,
) -> Outcome:
    """Build an experiment and take it through its life; devices are closed, whatever happens.

    Nothing that the experiment raises comes out: it is in the outcome.

    Args:
        experiment: The class.
        devices, datasets, arguments: Its managers.
        scheduler: The stand-in among the virtual devices; its status follows the phases.
        interrupts: Installed signal handling.
        hooks: Told of each step.

    """
    outcome = Outcome()
    try:
        _live(outcome, experiment, devices, datasets, arguments, scheduler, hooks)
    except BaseException as error:
        outcome.error = error
        interrupted = isinstance(error, KeyboardInterrupt) or is_termination(error)
        outcome.interrupted = interrupted
    with interrupts.shielded():
        devices.close_devices()
    outcome.interrupted = outcome.interrupted or interrupts.received
    return outcome


def _live(
    outcome: Outcome,
    experiment: type[Any],
    devices: DeviceManager,
    datasets: Any,
    arguments: ArgumentManager,
    scheduler: Scheduler,
    hooks: Hooks,
) -> None:
    def begin(phase: str, status: str) -> None:
        outcome.phase = phase
        scheduler.status = status
        hooks.phase(phase)
        outcome.seconds[phase] = 0.0

    clock = time.perf_counter
    began = clock()
    begin("build", "preparing")
    instance = experiment((devices, datasets, arguments, {}))
    arguments.check_unprocessed_arguments()
    hooks.built()
    outcome.seconds["build"] = clock() - began
    for phase, status in (("prepare", "preparing"), ("run", "running"), ("analyze", "analyzing")):
        began = clock()
        begin(phase, status)
        if phase == "run":
            outcome.run_time = time.time()
            hooks.running(outcome.run_time)
        try:
            getattr(instance, phase)()
        finally:
            outcome.seconds[phase] = clock() - began
            if phase == "run":
                devices.notify_run_end()

"""The life of an experiment: build, prepare, run, notify_run_end, analyze, and its devices closed."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rexec.devices import DeviceManager
from rexec.experiment.argument_manager import ArgumentManager
from rexec.experiment.errors import ArgumentError, is_termination
from rexec.experiment.forks import RunProcess
from rexec.experiment.interrupts import Interrupts
from rexec.experiment.stand_ins import Scheduler
from rexec.experiment.tracebacks import argument_at

logger = logging.getLogger(__name__)


@dataclass
class RunOutcome:
    """How a run went."""

    phase: str = "build"
    """The last phase that was begun: build, prepare, run, notify_run_end or analyze."""
    error: BaseException | None = None
    """The exception that ended it, if any."""
    run_time: float | None = None
    """When run() began, seconds since the epoch."""
    asked_to_end: bool = False
    """Whether a signal asked it to end while it ran."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each phase took."""

    @property
    def built(self) -> bool:
        """Whether there is an experiment that can have data."""
        return self.phase != "build"

    @property
    def status(self) -> str:
        """How the run ended, as the result file has it: "completed", "interrupted" (cut short on request), "failed"."""
        if self.error is None:
            return "completed"
        if _is_cut_short(self.error):
            return "interrupted"
        return "completed" if isinstance(self.error, SystemExit) and not self.error.code else "failed"

    @property
    def remark(self) -> str:
        """A note for the result file of a run that completed early; "" for any other run."""
        if self.status != "completed":
            return ""
        if self.error is not None:
            return f"the experiment ended itself in {self.phase}() by sys.exit()"
        return "the run was asked to end; the experiment ended it by itself" if self.asked_to_end else ""


def _is_cut_short(error: BaseException) -> bool:
    """Whether an error is a request to end, or was raised while one was handled."""
    each: BaseException | None = error
    while each is not None:
        if isinstance(each, KeyboardInterrupt) or is_termination(each):
            return True
        each = each.__cause__ or each.__context__
    return False


@dataclass(frozen=True)
class Hooks:
    """Callbacks of a run."""

    phase: Callable[[str], None]
    """Called with the name of each phase when it begins."""
    built: Callable[[], None]
    """Called when arguments and devices are known."""
    running: Callable[[float], None]
    """Called with the time, in seconds since the epoch, when run() begins."""
    ending: Callable[[], None] = lambda: None
    """Called when an experiment that was built is over, before its devices are closed."""


def live(
    experiment: type[Any],
    devices: DeviceManager,
    datasets: Any,
    arguments: ArgumentManager,
    scheduler: Scheduler,
    interrupts: Interrupts,
    hooks: Hooks,
) -> RunOutcome:
    """Build an experiment and call its methods in order; devices are closed in any case.

    Exceptions of the experiment are in the outcome, never raised.

    Args:
        experiment: The class.
        devices, datasets, arguments: Its managers.
        scheduler: The stand-in among the virtual devices; its status follows the phases.
        interrupts: Installed signal handling.
        hooks: Told of each step.

    """
    outcome = RunOutcome()
    owner = RunProcess()
    try:
        with interrupts.exposed():
            _live(outcome, experiment, devices, datasets, arguments, scheduler, hooks, owner)
    except BaseException as error:
        owner.leave_if_forked(error)
        outcome.error = error
    outcome.asked_to_end = interrupts.received
    with interrupts.shielded():
        if outcome.built:
            hooks.ending()
        devices.close_devices()
    return outcome


def _live(
    outcome: RunOutcome,
    experiment: type[Any],
    devices: DeviceManager,
    datasets: Any,
    arguments: ArgumentManager,
    scheduler: Scheduler,
    hooks: Hooks,
    owner: RunProcess,
) -> None:
    def begin(phase: str, status: str) -> None:
        outcome.phase = phase
        scheduler.status = status
        hooks.phase(phase)
        outcome.seconds[phase] = 0.0

    clock = time.perf_counter
    began = clock()
    begin("build", "preparing")
    try:
        instance = experiment((devices, datasets, arguments, {}))
    except Exception as wrong:
        name = argument_at(wrong)
        if name is not None and not isinstance(wrong, ArgumentError):
            wrong.add_note(f"in the processor of argument {name!r}")
        raise
    owner.leave_if_forked(None)
    arguments.check_unprocessed_arguments()
    hooks.built()
    outcome.seconds["build"] = clock() - began
    for phase, status in (("prepare", "preparing"), ("run", "running"), ("analyze", "analyzing")):
        began = clock()
        begin(phase, status)
        if phase == "run":
            outcome.run_time = time.time()
            hooks.running(outcome.run_time)
        error: BaseException | None = None
        try:
            getattr(instance, phase)()
        except BaseException as raised:
            error = raised
            raise
        finally:
            owner.leave_if_forked(error)
            outcome.seconds[phase] = clock() - began
            if phase == "run":
                devices.notify_run_end()

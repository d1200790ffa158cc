"""Says how a run of `rexec run` ended, and ends the program."""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from devicedb.cli import output
from devicedb.cli.console import TerminalConsole
from devicedb.cli.terminal import say
from devicedb.errors import ExpectedError
from rexec.devices import DeviceBusy
from rexec.experiment.lifecycle import RunOutcome
from rexec.experiment.runner import RunReport
from rexec.experiment.tracebacks import place, user_traceback
from rexec.wire.errors import WireError

logger = logging.getLogger(__name__)

THREADS_END: Final = 5.0
"""Seconds after the end of a run for threads that the experiment has left."""


def tell(
    report: RunReport, options: argparse.Namespace, console: TerminalConsole, kept_in: Path | None = None
) -> int:
    """Show the outcome of a run and its files, and return the exit status."""
    outcome = report.outcome
    status = tell_error(outcome, options.file, console)
    if report.failure is not None:
        console.say(f"rexec run: error: {report.failure}")
        status = status or 1
    for text in report.degraded:
        console.say(f"rexec run: degraded: {text}")
    if report.degraded.is_unkept:
        status = status or 1
    if report.path is not None:
        if options.quiet == 0 and report.datasets:
            from rexec.cli._table import print_datasets

            print_datasets(output.console(soft_wrap=True), report.datasets)
        if kept_in is not None:
            say(f"persistent datasets: {kept_in.absolute()}")
        say(f"run {report.rid} of {report.class_name}: {report.path}")
    return status


def tell_simulated(names: Sequence[str], console: TerminalConsole) -> None:
    """Warn that the data of a run are simulated."""
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    console.say(
        f"rexec run: warning: SIMULATED devices ({shown}): these data were not measured; the result file says so"
    )


def tell_error(outcome: RunOutcome, file: Path, console: TerminalConsole) -> int:
    """Show the error that ended a run, and return the exit status."""
    error = outcome.error
    if error is None:
        return 0
    if outcome.status == "interrupted":
        said = "" if isinstance(error, KeyboardInterrupt) else f": {type(error).__name__}"
        console.say(f"rexec run: interrupted in {outcome.phase}{said}")
        return 130
    where = place(error, file)
    if isinstance(error, SystemExit):
        at = f" at {where}" if where else ""
        console.say(
            f"rexec run: the experiment ended itself in {outcome.phase}{at}: sys.exit({error.code!r})"
        )
        return error.code & 0xFF if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, ExpectedError) and not isinstance(error, WireError):
        console.say(f"rexec run: error: {f'{where}: ' if where else ''}{error}")
        logger.debug("the error in full", exc_info=error)
        return 1 if outcome.built and not isinstance(error, DeviceBusy) else 2
    console.say_lines(user_traceback(error, file))
    console.say(f"rexec run: the experiment failed in {outcome.phase}{f' at {where}' if where else ''}")
    return 1


def end_threads(status: int, console: TerminalConsole, before: Collection[threading.Thread]) -> None:
    """End the program after `THREADS_END` seconds if the experiment's threads go on: Python waits for them forever.

    Args:
        status: Exit status.
        console: Where this is told.
        before: The threads that were there before the run: they belong to the caller.

    """

    def left() -> list[str]:
        return [each.name for each in threading.enumerate() if not each.daemon and each not in before]

    def end() -> None:
        names = ", ".join(left())
        if not names:
            return
        console.say(
            f"rexec run: warning: threads of the experiment still run ({names}): the program ends without them"
        )
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    if left():
        timer = threading.Timer(THREADS_END, end)
        timer.daemon = True
        timer.start()

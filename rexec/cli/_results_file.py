"""What the commands of `rexec results` do that open result files."""

import argparse
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from devicedb.cli import output
from devicedb.cli.terminal import say, say_error, say_lines
from devicedb.printable import printable
from rexec.catalogue.labels import labels
from rexec.catalogue.notes import notes_of
from rexec.catalogue.references import names_a_run
from rexec.cli._results_list import named_run
from rexec.cli._results_show import facts, print_table, value_lines
from rexec.results import ResultsError, journal_path, recover_damaged, recover_folder, status_of, verify
from rexec.results._files import is_locked
from rexec.results.errors import hint, reason
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind, Record
from rexec.results.layout import JOURNAL_SUFFIX
from rexec.results.reading.comparing import differences
from rexec.results.reading.overlay import plot_runs
from rexec.results.reading.plotting import plot
from rexec.results.reading.runs import Run
from rexec.results.reading.shown import moment, short
from rexec.results.reading.verifying import has_checksums

_PAUSE: Final = 0.1
"""Seconds between two looks at a journal."""


def show(options: argparse.Namespace) -> int:
    """Show a result file, or one dataset of it."""
    console = output.console(soft_wrap=True)
    with Run(named_run(options.file, options), external=options.external) as run:
        if options.dataset is not None:
            say_lines("\n".join(value_lines(run, options.dataset)))
            return 0
        for line in facts(run):
            console.say(line)
        for title, group in (("dataset", run.datasets), ("archive", run.archive)):
            if group:
                console.print()
                print_table(title, list(group.values()), console)
    return 0


def tail(options: argparse.Namespace) -> int:
    """Print the changes of a run."""
    path = named_run(options.file, options)
    journal = path if path.suffix == JOURNAL_SUFFIX else journal_path(path)
    try:
        reader = JournalReader(journal)
    except FileNotFoundError as error:
        raise ResultsError(
            f"{journal}: {reason(error)}; only a run that goes on has a journal. `rexec results show "
            f"{path}` shows what a finished one left"
        ) from error
    except OSError as error:
        raise ResultsError(f"cannot read {journal}: {reason(error)}{hint(error)}") from error
    with reader:
        now = reader.offset + reader.remaining()
        for record in deque(reader.records(now), maxlen=max(options.n, 0)):
            say(_line(record), flush=True)
        while not options.no_follow and journal.exists():
            goes_on = is_locked(journal)
            time.sleep(_PAUSE)
            for record in reader.records():
                say(_line(record), flush=True)
                if record.kind is Kind.END:
                    return 0
            if not goes_on and journal.exists() and not is_locked(journal):
                raise ResultsError(
                    f"the run of {path} was killed; `rexec results recover {path.parent}` makes the file"
                )
    return 0


def _line(record: Record) -> str:
    value = "" if record.kind in (Kind.DELETE, Kind.SUPERSEDED) else f" {short(record.value, 80)}"
    index = f"[{short(record.index, 40)}]" if record.kind is Kind.MUTATE else ""
    key = printable(str(record.key))
    return f"{moment(record.time, 'milliseconds')}  {record.kind.name.lower():8} {key}{index}{value}"


def diff(options: argparse.Namespace) -> int:
    """Print what changed between two runs; return 1 if something did."""
    paths = (named_run(each, options) for each in (options.old, options.new))
    with Run(next(paths)) as old, Run(next(paths)) as new:
        found = differences(old.identity, new.identity)
    if not found:
        say("the same arguments, devices, code and versions")
    for each in found:
        before, after = (text if text is None else _one_line(text) for text in (each.old, each.new))
        if before is None:
            say(f"{each.section:9} {printable(each.name)}: {after} (new)")
        elif after is None:
            say(f"{each.section:9} {printable(each.name)}: {before} (gone)")
        else:
            say(f"{each.section:9} {printable(each.name)}: {before} -> {after}")
    return 1 if found else 0


def _one_line(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= 100 else line[:99] + "…"


def plot_run(options: argparse.Namespace) -> int:
    """Draw a run, or several."""
    path = named_run(options.file, options)
    with Run(path) as run:
        names = [each for each in options.datasets if each in run.datasets or not names_a_run(each)]
        others = [each for each in options.datasets if each not in names]
        if not others:
            target = options.output or path.with_suffix(".png")
            plan = plot(run, target, names or None, options.against)
            say(f"{target}: {printable(', '.join(plan.drawn))}")
            if plan.left_out:
                say(f"not drawn: {printable(', '.join(plan.left_out))}")
            return 0
    paths = list(dict.fromkeys([path, *(named_run(each, options) for each in others)]))
    with ExitStack() as stack:
        runs = [stack.enter_context(Run(each)) for each in paths]
        numbers = [each.path.name if each.rid is None else str(each.rid) for each in runs]
        target = options.output or Path(f"runs-{numbers[0]}-{numbers[-1]}.png")
        said = labels(numbers, [each.identity for each in runs], [notes_of(each).comment for each in paths])
        drawn = plot_runs(runs, said, target, names, options.against)
    say(f"{target}: {printable(', '.join(drawn))} of {len(runs)} runs")
    return 0


def recover(options: argparse.Namespace) -> int:
    """Recover the journals of a folder."""
    if not options.folder.is_dir():
        raise ResultsError(f"there is no folder {options.folder}; name the results folder")
    found = 0
    status = 0
    for recovery in (recover_damaged if options.damaged else recover_folder)(options.folder):
        found += 1
        say(recovery, flush=True)
        status = max(status, int(recovery.outcome in {"failed", "damaged", "salvaged"}))
    if not found:
        say(f"nothing to recover in {options.folder}")
    return status


def verify_files(options: argparse.Namespace) -> int:
    """Compare result files with their checksums."""
    status = 0
    for each in options.files:
        try:
            path = named_run(each, options)
            problems = verify(path)
        except ResultsError as error:
            say_error(f"rexec results verify: error: {error}")
            status = 2
            continue
        for problem in problems:
            say(f"{path}: {printable(problem)}")
        if not problems:
            unknown = "can be read; it has no checksums that its values could be compared with"
            now = status_of(path)
            whole = "whole" if now.state == "finished" else f"whole so far; {now}"
            say(f"{path}: {whole if has_checksums(path) else unknown}")
        status = max(status, int(bool(problems)))
    return status

"""Cuts the power of programs at each of their calls, and compares what is left with what they have promised.

    python -m tests.campaigns.power_cuts [SCENARIO …] [--seeds 20]     states after a cut, all of them
    python -m tests.campaigns.power_cuts --mutants [TEXT]              each sync left out, one after another

A program runs once under strace, which records every write, sync, rename and removal. From that a model of a disk
makes what a file system may show after a cut at each instant: writes since the last sync lost, torn at a sector or
reordered, renames without their folder's sync undone. Each state is opened as the next program does, and held against
what had been promised by then. A mutant is the same recording without the syncs of one line. A fault is printed with
the call at which it was met first. The exit status is 1 if there was a fault, or a mutant survived that is not excused.
"""

import argparse
import logging
import sys
import time
from typing import Final

from tests.power_cuts.cuts import Outcome, Recorded, cut, record
from tests.power_cuts.recording import hindrance
from tests.power_cuts.scenarios import SCENARIOS

EXCUSED: dict[str, str] = {
    "results/journal/_file.py _let_go": "a journal that is back is recovered again, to the same file",
}
"""Syncs that may be left out in these programs ("FILE FUNCTION"), and why."""

_FIRST: Final = 60
"""States of each program that are tried first: most mutants leave many that are at fault."""


def states(programs: list[Recorded], seeds: int) -> bool:
    """Check the states after cuts; return whether none was at fault."""
    total, is_good = 0, True
    for program in programs:
        began, outcome = time.monotonic(), Outcome()
        for seed in range(seeds):
            found = cut(program, seed=seed)
            outcome.states += found.states
            outcome.faults += found.faults
            outcome.first.update(found.first)
        faults = sum(outcome.faults.values())
        total, is_good = total + outcome.states, is_good and not faults
        seconds = time.monotonic() - began
        print(
            f"{outcome.states:6}  {program.name}: {faults} at fault ({len(program.ops)} calls, {seconds:.0f} s)",
            flush=True,
        )
        for fault, where in outcome.first.items():
            print(f"        {where}: {fault}")
    print(f"{total:6}  states in all")
    return is_good


def mutants(programs: list[Recorded], seeds: int, wanted: str) -> bool:
    """Leave out each line that syncs, if its name has the text `wanted`; return whether every mutant was noticed."""
    sites: dict[str, list[Recorded]] = {}
    for program in programs:
        for site in filter(lambda site: wanted in site, program.sites()):
            sites.setdefault(site, []).append(program)
    survivors = 0
    for site, there in sorted(sites.items()):
        killed = ""
        for seed, most in ((0, _FIRST), *((seed, None) for seed in range(seeds))):
            killed = killed or next((said for each in there if (said := _killed(each, site, seed, most))), "")
        place, _, function = site.partition(" ")
        excuse = EXCUSED.get(f"{place.partition(':')[0]} {function}", "")
        survivors += not killed and not excuse
        verdict = "killed  " if killed else "excused " if excuse else "SURVIVED"
        print(f"{verdict}  {site}: {killed or excuse}", flush=True)
    print(f"{len(sites)} lines that sync, {survivors} survived")
    return not survivors


def _killed(program: Recorded, site: str, seed: int, most: int | None) -> str:
    outcome = cut(program, seed=seed, most=most, is_kept=lambda op: op.site != site, stop_at_fault=True)
    return next((f"{program.name}, {where}: {fault}" for fault, where in outcome.first.items()), "")


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"default: all of {', '.join(SCENARIOS)}"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how often states between extremes are chosen")
    parser.add_argument(
        "--mutants",
        metavar="TEXT",
        nargs="?",
        const="",
        help="leave out each line that syncs instead, those whose file or function has TEXT",
    )
    arguments = parser.parse_args()
    if hindrance():
        sys.exit(f"{hindrance()}: the package `strace` has it")
    unknown = set(arguments.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}: there are {', '.join(SCENARIOS)}")
    logging.disable(logging.CRITICAL)
    programs = [record(name) for name in arguments.scenarios or SCENARIOS]
    if arguments.mutants is None:
        sys.exit(not states(programs, arguments.seeds))
    sys.exit(not mutants(programs, arguments.seeds, arguments.mutants))


if __name__ == "__main__":
    main()

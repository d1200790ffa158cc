"""Plays many schedules of faults against clients and server: `python -m tests.campaigns.wire_faults --schedules 10000`.

Exit status 1 if a call got a wrong answer or waited past its deadline; the schedule is printed then.
"""

import argparse
import multiprocessing
import sys
import time
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.wire.fault_schedules import MODES, SCHEDULES, Outcome, arena
from tests.wire.faulty import Schedule


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="fault injection on the wire")
    parser.add_argument(
        "--schedules", type=int, default=10_000, help="how many in all (default: %(default)s)"
    )
    parser.add_argument("--processes", type=int, default=4, help="side by side (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the choice of schedules (default: %(default)s)"
    )
    return parser


def campaign(count: int, number: int) -> dict[str, Any]:
    """Play schedules one after another; return the figures."""
    total = Outcome()
    played = 0
    with arena() as one:

        @seed(number)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(schedules=SCHEDULES, mode=st.sampled_from(MODES))
        def play(schedules: list[Schedule], mode: str) -> None:
            nonlocal played
            outcome = one.play(schedules, mode)
            played += 1
            total.right += outcome.right
            total.failed += outcome.failed
            total.longest = max(total.longest, outcome.longest)

        play()
    return {"schedules": played, "right": total.right, "failed": total.failed, "longest": total.longest}


def main() -> int:
    """Run the campaign."""
    arguments = get_argparser().parse_args()
    begin = time.monotonic()
    share = -(-arguments.schedules // arguments.processes)
    jobs = [(share, arguments.seed + index) for index in range(arguments.processes)]
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        results = pool.starmap(campaign, jobs)
    print(
        f"{sum(r['schedules'] for r in results)} schedules, "
        f"{sum(r['right'] for r in results)} calls answered rightly, "
        f"{sum(r['failed'] for r in results)} refused with an error, 0 wrong, "
        f"longest call {max(r['longest'] for r in results):.3f} s, {time.monotonic() - begin:.0f} s in all"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

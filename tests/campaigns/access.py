"""Every request by every person in every language, and an audit whose writer is killed again and again.

    python -m tests.campaigns.access [--kills N]

Each request kind is sent by each person, as ours and as stock clients speak, over TLS and plain, small and large: none
without the right may have an effect. Then a process that writes an audit is killed at any instant: the chain must
verify.
"""

import argparse
import itertools
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rexec.access.audit_check import verify
from tests.access.test_audit_files import WRITER
from tests.access.test_rights import PEOPLE, REQUESTS, SPOKEN, check_request, guarded_lab


def requests(folder: Path) -> int:
    """Send all; return their number."""
    count = 0
    with guarded_lab(folder) as lab:
        for person, features, tls, request, size in itertools.product(
            PEOPLE, SPOKEN, (False, True), REQUESTS, (0, 100_000)
        ):
            if size and request[1] != "expose":
                continue
            check_request(lab, person, features, tls, request, size)
            count += 1
    return count


def kills(folder: Path, number: int) -> int:
    """Kill a writer so often; return the lines of its audit."""
    path, chance = folder / "camera.jsonl", random.Random(1)
    for _ in range(number):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as process:
            if process.stdout is not None:
                process.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.05))
            process.kill()
        problems = verify(path).problems
        if problems:
            raise SystemExit(f"after a kill: {problems}")
    return verify(path).lines


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    number = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(f"{requests(Path(folder))} requests: none without a right had an effect\n")
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(f"{number} kills: a chain of {kills(Path(folder), number)} lines verifies\n")


if __name__ == "__main__":
    main()

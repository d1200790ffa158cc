"""What the modules of the campaign `one_client` share: calls that check their answers, and counts of outcomes."""

import itertools
import os
import random
from dataclasses import dataclass, field
from typing import Any, Final

from rexec.wire.errors import WireError
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig

LOCAL: Final = "127.0.0.1"
PATIENCE: Final = 10.0
"""Seconds after which a call counts as stuck."""
TLS_FILES: Final[list[str]] = []
"""Of the clients, where the server speaks TLS."""
numbers: Final = itertools.count(random.randrange(1 << 30) << 20)

COUNTS: Final = ("right", "refused", "wrong", "stuck", "disturbed")


@dataclass
class Tally:
    """What became of calls."""

    right: int = 0
    refused: int = 0
    wrong: int = 0
    stuck: int = 0
    disturbed: int = 0
    """Calls that failed though they had nothing to do with it."""
    what: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing went wrong that must not."""
        return not (self.wrong or self.stuck or self.disturbed)

    def add(self, other: "Tally") -> None:
        """Add the counts of another."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.what += other.what

    def __str__(self) -> str:
        text = ", ".join(f"{getattr(self, name)} {name}" for name in COUNTS)
        return text + "".join(f"\n    {each}" for each in dict.fromkeys(self.what[:5]))


def ask(client: Any, tally: Tally, failure: str) -> None:
    """Make one call; a failure counts as `failure`."""
    number = next(numbers) + (os.getpid() << 50)
    try:
        answer = client.echo([number, "x" * (number % 50)])
    except WireError as error:
        setattr(tally, failure, getattr(tally, failure) + 1)
        tally.what.append(f"{failure}: {type(error).__name__}: {str(error)[:120]}")
        return
    judge(answer, number, tally)


def judge(answer: Any, number: int, tally: Tally) -> None:
    """Count an answer."""
    if answer == [number, "x" * (number % 50)]:
        tally.right += 1
    elif answer is None:
        tally.refused += 1  # of a best-effort client
    else:
        tally.wrong += 1
        tally.what.append(f"wrong: {answer!r:.60}")


def connected(port: int, **keywords: Any) -> Client:
    """Return a client whose calls do not hang for ever."""
    return Client(LOCAL, port, "drv", call_timeout=PATIENCE, ssl_config=tls(), **keywords)


def tls() -> SimpleSSLConfig | None:
    """Return the TLS of the clients."""
    return SimpleSSLConfig(*TLS_FILES) if TLS_FILES else None

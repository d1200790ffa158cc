"""The threads of an experiment send sources to controllers at once."""

from collections.abc import Mapping
from typing import Any

from rexec.experiment.runner import _RunSources
from tests.threads.interleaving import Race


class Identity:
    """What is kept of a run's identity."""

    def __init__(self) -> None:
        self.sources: Mapping[str, str] = {}

    def update_identity(self, *, sources: Mapping[str, str]) -> None:
        self.sources = sources


class Shared:
    def __init__(self) -> None:
        self.identity = Identity()
        kept: Any = self.identity
        self.sources = _RunSources(kept, {"0": "zero"})


def test_every_source_is_kept() -> None:
    Race(
        Shared,
        lambda shared: shared.sources.add({"1": "one"}),
        lambda shared: shared.sources.add({"2": "two"}),
        lambda shared: sorted(shared.identity.sources),
        ("rexec/experiment/runner.py",),
    ).check()

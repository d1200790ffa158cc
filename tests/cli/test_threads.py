"""The threads of a run share its terminal."""

import builtins
from typing import Any

import pytest

from devicedb.cli.console import TerminalConsole
from rexec.cli._progress import Progress, RunActivity
from tests.threads.interleaving import Race


class Terminal:
    """A terminal whose person answers at once."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.progress = Progress(TerminalConsole(), "run 1", "", lambda: RunActivity(0, []), enabled=False)
        live: Any = self
        self.progress._live = live

    def stop(self) -> None:
        self.seen.append("hidden")

    def start(self) -> None:
        self.seen.append("shown")

    def ask(self, prompt: str) -> str:
        self.seen.append(prompt)
        return f"answer to {prompt}"


def test_one_question_is_asked_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> Terminal:
        terminal = Terminal()
        monkeypatch.setattr(builtins, "input", terminal.ask)
        return terminal

    Race(
        make,
        lambda t: t.progress.ask("one"),
        lambda t: t.progress.ask("other"),
        lambda t: t.seen,
        ("rexec/cli/_progress.py",),
    ).check()

"""A clock of a test's own for one module: the other modules and threads of the process go by the true one."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest


def set_clock(monkeypatch: pytest.MonkeyPatch, module: str, **functions: Callable[..., Any]) -> None:
    """Have a module that says `time.NAME` call these functions instead, by their names."""
    monkeypatch.setattr(f"{module}.time", SimpleNamespace(**vars(time) | functions))

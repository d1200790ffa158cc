"""The laboratory in which whole runs are tested."""

from tests.cli.conftest import lab

__all__ = ["lab"]

"""A plugin of pytest: tests that trace for themselves leave no tracer behind, so each test begins with ours."""

import sys


def pytest_runtest_setup() -> None:
    """Note lines again."""
    sys.modules["sitecustomize"].arm()

"""pytest plugin: `pytest --device-db device_db.py` makes each rule of `devicedb check` a test.

pytest loads this module at every start in an environment where artiq-rexec is installed. What the check needs is
therefore imported only once `--device-db` is given.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from devicedb.check.config import Settings
    from devicedb.check.finding import Report
    from devicedb.model.rule import Rule


class FindingsError(Exception):
    """A rule found something; the text is the report."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--device-db FILE`."""
    parser.getgroup("devicedb").addoption(
        "--device-db",
        metavar="FILE",
        action="append",
        default=[],
        help="check this device database: each rule is a test; repeatable. "
        "Settings are those of [tool.devicedb] in pyproject.toml",
    )


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leave the laboratory's scripts alone where neither paths nor `testpaths` ask for tests: collecting runs them."""
    if config.getoption("--device-db") and config.args_source is pytest.Config.ArgsSource.INVOCATION_DIR:
        return True
    return None


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the rules of every device database, after the tests that pytest has found."""
    for name in config.getoption("--device-db"):
        items += session.genitems(database_file(session, config.invocation_params.dir / name, name))


def database_file(session: pytest.Session, path: Path, name: str) -> "DatabaseFile":
    """Return the collector of one device database; UsageError where it or its settings cannot be read."""
    from devicedb.check.config import find
    from devicedb.errors import DeviceDBError

    if not path.is_file():
        raise pytest.UsageError(f"--device-db {name}: there is no such file")
    try:
        settings = find(path.absolute().parent)
    except DeviceDBError as error:
        raise pytest.UsageError(f"--device-db {name}: {error}") from None
    return DatabaseFile.from_parent(session, path=path, settings=settings)


class DatabaseFile(pytest.File):
    """A device database. It is run and checked once, when the first of its tests is."""

    def __init__(self, *, settings: "Settings", **rest: Any) -> None:
        super().__init__(**rest)
        self.settings = settings

    def collect(self) -> Iterator["RuleItem"]:
        """Yield a test for each rule that the settings want."""
        from devicedb.rules import RULES

        for rule in RULES.values():
            needs_experiments = rule.code.startswith("DDB6")
            if self.settings.wants(rule.code) and (self.settings.experiments or not needs_experiments):
                yield RuleItem.from_parent(self, name=rule.code, rule=rule)

    @cached_property
    def report(self) -> "Report":
        """What the check found."""
        from devicedb.check.engine import Subject, check_file, visible

        shown = self.nodeid or str(self.path)
        return visible(check_file(Subject(self.path, shown), self.settings), self.settings)


class RuleItem(pytest.Item):
    """One rule on one device database. It fails where the rule finds something as bad as `fail-on` says."""

    def __init__(self, *, rule: "Rule", **rest: Any) -> None:
        super().__init__(**rest)
        self.rule = rule

    def runtest(self) -> None:
        """Look the rule up in the report; milder findings are a section of the test's report."""
        from devicedb.report.text import render

        parent = self.getparent(DatabaseFile)
        assert parent is not None  # noqa: S101  # it is made by one
        whole = parent.report
        found = tuple(each for each in whole.findings if each.code == self.rule.code)
        if not found:
            return
        report = replace(whole, findings=found)
        text = render(report)
        if report.fails(parent.settings.fail_on):
            raise FindingsError(text)
        self.add_report_section("call", "devicedb", text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the finding itself; the traceback where the check has a fault of its own."""
        from devicedb.errors import DeviceDBError

        if isinstance(excinfo.value, FindingsError | DeviceDBError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the file and what the test is called in the report."""
        return self.path, None, f"{self.rule.code} {self.rule.summary}"

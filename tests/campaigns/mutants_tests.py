"""Tests of a copy of the tree, run in children forked from here: what passed, what failed, what executes which line."""

import compileall
import contextlib
import hashlib
import json
import os
import py_compile
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final, NamedTuple

import coverage
import psutil
import pytest

PACKAGES: Final = ("schemas", "devicedb", "rexec")
_MOST_MEMORY: Final = 4 << 30
_SHIPPED: Final = ("rexec/remote/agent/", "rexec/devices/_lease_agent.py", "rexec/ground/lease_table.py")
_SETTINGS: Final = (
    "[run]\nsource = {}\nparallel = true\npatch = _exit\nsigterm = true\ncontext = ${{MUTANTS_TEST-}}\n"
)


class Record(NamedTuple):
    """Which test of a folder executes which line.

    Attributes:
        seconds: How long each test took that passed.
        lines: Tests of each line of each module, by its path; "" where it was executed outside a test, as by an import.

    """

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[str]]]

    def tests(self, module: str, first: int, last: int) -> list[str]:
        """Return the tests that execute lines, the quickest first; those of the module if it is not known which.

        Then all others of the folder, too, if an import executes the lines: any test may notice what that made. And
        those that may execute them under another name, because the code is shipped to controllers as text.
        """
        of_module = self.lines.get(module, {})
        likely = {test for tests in of_module.values() for test in tests} - {""}
        executing: set[str] = set()
        for line in range(first, last + 1):
            executing.update(of_module.get(str(line), likely))
        found = executing & self.seconds.keys()
        if "" in executing or module.startswith(_SHIPPED) or not found:
            found = set(self.seconds)
        # Those that import it themselves, in a program, are slow, and notice no more than others.
        if "" in executing:
            executing = likely
        return sorted(
            found, key=lambda test: (test not in executing, test not in likely, self.seconds[test], test)
        )


class _Watcher:
    """Notes in a file which tests passed, and which failed first; switches the context of the coverage."""

    def __init__(self, path: Path, cover: coverage.Coverage | None = None) -> None:
        self._path, self._cover = path, cover
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._failed: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self._cover:
            if sys.gettrace() is None or threading.gettrace() is None:  # the test before has set its own
                self._cover.stop()
                self._cover.start()
            os.environ["MUTANTS_TEST"] = nodeid
            self._cover.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        if report.failed or report.skipped:
            self._failed.append(report.nodeid) if report.failed else None
            self._seconds[report.nodeid] = -1e9

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            self._failed.append(f"(pytest ended with status {int(exitstatus)})")  # by Ctrl-C, for one
        passed = {test: seconds for test, seconds in self._seconds.items() if seconds >= 0}
        self._path.write_text(json.dumps([passed, self._failed]))


def in_child(
    root: Path, words: list[str], seconds: float, settings: Path | None = None
) -> tuple[Any, list[str]]:
    """Run pytest in a child forked from here, with the modules below a folder; return what passed, and what failed.

    A child that does not end in time is killed, with what it started: it failed as "(hung)".
    """
    out = root.with_name(root.name + ".json")
    out.unlink(missing_ok=True)
    others = set(psutil.Process().children(recursive=True))  # which are none of the child's
    pid = os.fork()
    if not pid:
        try:
            os._exit(_pytest(root, words, out, settings))
        finally:
            os._exit(1)  # nothing of this process is the child's to clean up
    deadline = time.monotonic() + seconds
    done = 0
    while not done and time.monotonic() < deadline:
        time.sleep(0.02)
        done, _ = os.waitpid(pid, os.WNOHANG)
    while left := set(psutil.Process().children(recursive=True)) - others:
        for child in left:
            with contextlib.suppress(psutil.Error):
                child.kill()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child.pid, 0)
    if not done:
        return {}, ["(hung)"]
    passed, failed = json.loads(out.read_text()) if out.exists() else ({}, ["(the end of the interpreter)"])
    return passed, failed or ([] if passed else ["(no test could be run)"])


def _pytest(root: Path, words: list[str], out: Path, settings: Path | None) -> int:
    os.setsid()
    os.chdir(root)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if not settings:
        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    for name in [each for each in sys.modules if each.partition(".")[0] in ("tests", *PACKAGES)]:
        del sys.modules[name]
    sys.path.insert(0, str(root))
    os.environ["PYTHONPATH"] = str(root)
    cover = None
    if settings:
        os.environ["COVERAGE_PROCESS_START"] = str(settings)
        cover = coverage.Coverage(str(settings.with_name("data")), config_file=str(settings))
        cover.start()
    # A timer of faulthandler that runs at a fork can never be cancelled in the child.
    left_out = ["cacheprovider", "cov", "faulthandler"]
    usual = ["-q", "--assert=plain", "--hypothesis-seed=0"]
    usual += [word for each in left_out for word in ("-p", f"no:{each}")]
    status = pytest.main([*usual, *words], plugins=[_Watcher(out, cover)])
    if cover:
        cover.stop()
        cover.save()
    return int(status)


def prepare(root: Path, copy: Path) -> Path:
    """Copy a tree to where mutants are made."""
    skipped = shutil.ignore_patterns(".*", "__pycache__", "_build", "*.so")
    shutil.copytree(root, copy, ignore=skipped, symlinks=True)
    for name in PACKAGES:
        # By the text: two mutants of one second and one length would share what is compiled by the time.
        compileall.compile_dir(
            copy / name, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH
        )
    return copy


def record(copy: Path, folder: str, kept: Path) -> Record:
    """Run the tests of a folder under coverage, unless it is on file for the same texts; return what executes what."""
    texts = [
        *copy.glob(f"tests/{folder}/**/*.py"),
        *(p for name in PACKAGES for p in copy.glob(f"{name}/**/*.py")),
    ]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(texts))).hexdigest()[:16]
    path = kept / f"{folder}-{digest}.json"
    if path.exists():
        return Record(*json.loads(path.read_text()))
    with tempfile.TemporaryDirectory() as name:
        settings = Path(name, "settings")
        present = [str(copy / each) for each in PACKAGES if (copy / each).exists()]
        settings.write_text(_SETTINGS.format("\n    ".join(["", *present])) + f"data_file = {name}/data\n")
        seconds, _ = in_child(copy, [f"tests/{folder}"], 7200, settings)
        cover = coverage.Coverage(f"{name}/data", config_file=str(settings))
        cover.combine([name])
        data = cover.get_data()
        lines = {
            Path(file).relative_to(copy).as_posix(): {
                str(line): sorted({context.strip("|") for context in contexts})
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([seconds, lines]))
    return Record(seconds, lines)

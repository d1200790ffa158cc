"""Lists definitions of the three packages that have no caller outside the tests: `python -m tests.campaigns.unused`.

vulture finds names that are defined and never used. A name of `__all__` is not used by that: it must be on the page
docs/reference/api.md, be called by code under examples/ or benchmarks/, or be among the excuses below. Exit status 1 if
a definition is left, or an excuse excuses nothing.
"""

import argparse
import ast
import importlib
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from vulture.core import Item, Vulture

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("schemas", "devicedb", "rexec")
CALLERS: Final = ("examples", "benchmarks", "docs/conf.py")
CERTAIN: Final = 100
"""What vulture says of unused arguments and unreachable code, which are ruff's affair."""


class Excuse(NamedTuple):
    """Definitions that nothing calls by name.

    Attributes:
        files: Glob of their files.
        names: Globs of their names, separated by spaces.
        reason: Who calls them, or reads them.

    """

    files: str
    names: str
    reason: str


EXCUSES: Final = (
    Excuse("rexec/*", "connection_made connection_lost eof_received pause_writing resume_writing", "asyncio"),
    Excuse("rexec/wire/*", "get_buffer buffer_updated", "asyncio.BufferedProtocol"),
    Excuse("*", "visit_*", "ast.NodeVisitor"),
    Excuse("rexec/web/server.py", "capture_signals should_exit", "uvicorn"),
    Excuse("*", "create_module get_code", "importlib"),
    Excuse("devicedb/cli/parser.py", "_check_value", "argparse"),
    Excuse("rexec/cli/_prompt.py", "get_completions", "prompt_toolkit"),
    Excuse("devicedb/pytest_plugin.py", "pytest_* collect runtest reportinfo", "pytest"),
    Excuse(
        "rexec/results/reading/xarray_backend.py",
        "RexecBackend open_dataset* guess_can_open",
        "xarray, by entry point",
    ),
    Excuse("*__init__.py", "__getattr__ __dir__", "Python, for names that are imported when they are needed"),
    Excuse("rexec/simulate/*", "__signature__", "inspect.signature"),
    Excuse("schemas/*", "model_config", "pydantic"),
    Excuse(
        "schemas/device_db.py", "port_proxy", "those who write entries; its name is read from the database"
    ),
    Excuse("*", "_repr_html_", "notebooks"),
    Excuse("rexec/cli/_results_*.py", "*_run *_runs verify_files", "rexec/cli/results.py, by name"),
    Excuse("devicedb/trace/recorder.py", "__ddb_* ior or_ dict_", "code that the tracer has rewritten"),
    Excuse("rexec/devices/_lease_agent.py", "lease_request", "code on stock controllers, by name"),
    Excuse("rexec/remote*", "Agent do_* whole_* _rexec_*", "clients, by the name in a request"),
    Excuse(
        "rexec/master/*",
        "get_* check_* request_* scan_* list_* examine supply",
        "clients of a master, by RPC",
    ),
    Excuse(
        "rexec/experiment/stand_ins.py", "check_pause request_termination get_status issue", "experiments"
    ),
    Excuse("rexec/simulate/local.py", "Core coarse_ref_period precompile reset", "experiments"),
    Excuse("rexec/simulate/local.py", "break_realtime *_mu *seconds* get_rtio_*", "experiments"),
    Excuse("rexec/simulate/timeline.py", "enter_*", "`with parallel` in kernels, by name"),
    Excuse("rexec/wire/packed_exceptions.py", "*_exc* builtin_exceptions", "programs written for sipyco"),
    Excuse("rexec/asyncio_tools.py", "*", "programs written for sipyco"),
    Excuse("rexec/logging_tools.py", "*", "programs written for sipyco"),
    Excuse("rexec/keepalive.py", "async_open_connection", "programs written for sipyco"),
    Excuse("rexec/wire/*", "is_serving receive_task", "programs written for sipyco"),
    Excuse("rexec/wire/_stream_client.py", "_drain_helper _get_close_waiter", "asyncio.StreamWriter"),
    Excuse("rexec/remote/_jobs.py", "_condition", "concurrent.futures.Future"),
    Excuse("devicedb/model/database.py", "maxlevel maxstring", "reprlib.Repr"),
    Excuse("rexec/results/reading/shown.py", "max* repr_*", "reprlib.Repr"),
    Excuse("rexec/simulate/local.py", "simulated_calls", "tests of laboratories"),
    Excuse("devicedb/resolve.py", "AnyEntry", "annotations in quotes"),
    Excuse("devicedb/model/located.py", "from_plain", "tests of rules, whose databases have no file"),
    Excuse("rexec/ground/units.py", "*", "experiments, by the names of ARTIQ's units"),
)


class Definitions(Vulture):  # type: ignore[misc]
    """vulture, but a name in `__all__` is not used by that."""

    def visit_Assign(self, node: ast.Assign) -> None:  # noqa: N802
        """Do not take the names of `__all__` for used."""


def unused() -> list[Item]:
    """Return definitions that no code outside the tests uses by name."""
    found = Definitions(ignore_decorators=["@entry_rule", "@database_rule", "@file_rule", "@atexit.register"])
    found.scavenge([ROOT / name for name in (*PACKAGES, *CALLERS)])
    return [
        item
        for item in found.get_unused_code(min_confidence=60)
        if item.confidence < CERTAIN
        and item.typ not in {"import", "unreachable_code"}
        and path_of(item).split("/")[0] in PACKAGES
    ]


def path_of(item: Item) -> str:
    """Return the file of a definition, from the root of the repository."""
    return Path(item.filename).resolve().relative_to(ROOT).as_posix()


def documented() -> set[str]:
    """Return the names on the page of the Python API, with the public attributes of its classes."""
    page = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    names: set[str] = set()
    things = []
    for name in re.findall(r"automodule:: (\S+)", page):
        module = importlib.import_module(name)
        public = getattr(module, "__all__", None) or [
            key
            for key, value in vars(module).items()
            if not key.startswith("_") and getattr(value, "__module__", name) == name
        ]
        names.update(public)
        things += [getattr(module, key) for key in public]
    for name in re.findall(r"autoclass:: (\S+)", page):
        module_name, _, key = name.rpartition(".")
        names.add(key)
        things.append(getattr(importlib.import_module(module_name), key))
    for thing in things:
        if isinstance(thing, type):
            names.update(key for key in dir(thing) if not key.startswith("_"))
            names.update(getattr(thing, "model_fields", ()), getattr(thing, "__annotations__", ()))
            # Attributes of instances are in the docstring.
            names.update(re.findall(r"^\s+(\w+): ", thing.__doc__ or "", re.MULTILINE))
    return names


def excuse_for(item: Item) -> Excuse | None:
    """Return the first excuse for a definition."""
    for excuse in EXCUSES:
        is_file = fnmatchcase(path_of(item), excuse.files)
        if is_file and any(fnmatchcase(item.name, glob) for glob in excuse.names.split()):
            return excuse
    return None


def problems() -> Iterator[str]:
    """Yield a line for each definition without a caller or an excuse, and for each excuse without a definition."""
    public = documented()
    idle: set[Excuse | None] = set(EXCUSES)
    for item in unused():
        excuse = excuse_for(item)
        idle.discard(excuse)
        if excuse is None and item.name not in public:
            yield f"{path_of(item)}:{item.first_lineno}: {item.typ} {item.name} has no caller"
    yield from (
        f"the excuse {excuse.files}: {excuse.names} excuses nothing" for excuse in EXCUSES if excuse in idle
    )


def main() -> int:
    """Print the problems; return the exit status."""
    argparse.ArgumentParser(prog="python -m tests.campaigns.unused", description=__doc__).parse_args()
    found = list(problems())
    for line in found:
        print(line)
    print(f"{len(found)} without a caller or an excuse")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""`rexec run --list`: the experiments of a file with their arguments, found without any device."""

import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from devicedb import command
from devicedb.cli.terminal import say
from devicedb.printable import printable
from rexec.datasets import DatasetDB, DatasetManager
from rexec.devices import DummyDevice
from rexec.experiment import ExperimentClassError
from rexec.experiment.argument_manager import ArgumentManager, Request
from rexec.experiment.loading import check_names, choose_class, experiment_classes, importable, title
from rexec.experiment.runner import imported
from rexec.experiment.tracebacks import place
from rexec.experiment.typed import as_typed
from rexec.ground.quantities import Display, display_of


class AnyDevice(DummyDevice):
    """Stands for every device while arguments are listed: any call returns None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


class NoDevices:
    """A device manager that returns a stand-in for every name."""

    def get(self, name: str) -> AnyDevice:
        return AnyDevice()

    def get_desc(self, name: str) -> dict[str, Any]:
        return {}

    def get_device_db(self) -> dict[str, Any]:
        return {}


class Collector(ArgumentManager):
    """An argument manager that records the requests and returns defaults, or None."""

    def __init__(self) -> None:
        super().__init__({})
        self.requests: list[Request] = []

    def get(self, key: str, processor: Any, group: str | None = None, tooltip: str | None = None) -> Any:
        self.requests.append((key, processor, group, tooltip))
        return processor.default() if "default" in processor.describe() else None


def print_experiments(file: Path, class_name: str | None) -> None:
    """Print each experiment class of a file, its title and its arguments."""
    file = file.absolute()
    check_names(file.parent)
    with importable([file.parent]):
        module = imported(file)
        classes = experiment_classes(module)
        if class_name is not None:
            classes = dict([choose_class(module, file, class_name)])
        if not classes:
            raise ExperimentClassError(
                f"{file} has no experiment: a public class that derives from EnvExperiment"
            )
        for name, each in classes.items():
            say(f"{name}: {title(each)}")
            collector = Collector()
            try:
                each((NoDevices(), DatasetManager(DatasetDB()), collector, {}))
            except (Exception, SystemExit) as error:
                text = " ".join(f"{type(error).__name__}: {error}".split())
                say(f"    build() fails without devices at {place(error, file) or file.name}: {text}")
            for key, processor, group, tooltip in collector.requests:
                for line in lines_of(*describe(key, processor.describe(), group, tooltip), _width()):
                    say(line)


def _width() -> int | None:
    """Return the width of the terminal in columns; None where the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def lines_of(default: str, details: str, width: int | None) -> list[str]:
    """Return an argument as lines: one, unless that is wider than the terminal. What is pasted back is never cut."""
    whole = printable(f"    {default}  {details}")
    if width is None or cell_len(whole) <= width:
        return [whole]
    indent = " " * 8
    parts = textwrap.wrap(
        printable(details), width, initial_indent=indent, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [printable(f"    {default}"), *parts]


def describe(
    key: str, description: dict[str, Any], group: str | None, tooltip: str | None
) -> tuple[str, str]:
    """Return an argument: name and default as they are typed; kind, unit, bounds, choices and tooltip."""
    display = display_of(description)
    parts = [str(description["ty"]).removesuffix("Value").lower()]
    parts += [f"in {display.unit}"] if display.unit else []
    parts += [
        f"{bound} {Display(display.unit, display.scale).with_unit(value)}"
        for bound in ("min", "max")
        if (value := description.get(bound)) is not None
    ]
    if "choices" in description:
        parts.append("one of " + ", ".join(map(str, description["choices"])))
    parts += [f"group {group}"] if group else []
    default = f"{key} (needed)"
    if "default" in description:
        default = command.as_typed([f"{key}={as_typed(description)}"])
    return default, f"({', '.join(parts)})" + (f"  {tooltip}" if tooltip else "")

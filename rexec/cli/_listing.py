"""`rexec run --list`: the experiments of a file with their arguments, found without any device."""

from pathlib import Path
from typing import Any

from rexec.datasets import DatasetDB, DatasetManager
from rexec.devices import DummyDevice
from rexec.experiment import ExperimentClassError
from rexec.experiment.argument_manager import ArgumentManager, Request
from rexec.experiment.loading import check_names, choose_class, experiment_classes, importable, title
from rexec.experiment.runner import imported


class AnyDevice(DummyDevice):
    """Stands for every device while an experiment is only looked at: any call gives nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


class NoDevices:
    """A device manager that gives a stand-in for every name."""

    def get(self, name: str) -> AnyDevice:
        """Return a stand-in."""
        return AnyDevice()

    def get_desc(self, name: str) -> dict[str, Any]:
        """Return an empty description."""
        return {}

    def get_device_db(self) -> dict[str, Any]:
        """Return an empty database."""
        return {}


class Collector(ArgumentManager):
    """An argument manager that takes note of what is asked for, and gives defaults or None."""

    def __init__(self) -> None:
        super().__init__({})
        self.requests: list[Request] = []

    def get(self, key: str, processor: Any, group: str | None = None, tooltip: str | None = None) -> Any:
        """Return the default of an argument, None where it has none."""
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
            chosen = choose_class(module, file, class_name)
            classes = {class_name: chosen}
        if not classes:
            raise ExperimentClassError(
                f"{file} has no experiment: a public class that derives from EnvExperiment"
            )
        for name, each in classes.items():
            print(f"{name}: {title(each)}")
            collector = Collector()
            each((NoDevices(), DatasetManager(DatasetDB()), collector, {}))
            for key, processor, group, tooltip in collector.requests:
                print(f"    {describe(key, processor.describe(), group, tooltip)}")


def describe(key: str, description: dict[str, Any], group: str | None, tooltip: str | None) -> str:
    """Return one argument as a line: name, default, kind, unit, bounds, choices, what it is for."""
    default = f"={description['default']!r}" if "default" in description else " (needed)"
    parts = [str(description["ty"]).removesuffix("Value").lower()]
    if description.get("unit"):
        parts.append(f"shown in {description['unit']}")
    parts += [
        f"{bound} {description[bound]}" for bound in ("min", "max") if description.get(bound) is not None
    ]
    if "choices" in description:
        parts.append("one of " + ", ".join(description["choices"]))
    parts += [f"group {group}"] if group else []
    return f"{key}{default}  ({', '.join(parts)})" + (f"  {tooltip}" if tooltip else "")

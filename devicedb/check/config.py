"""Settings of a check: from `[tool.devicedb]` in pyproject.toml, overridden by the command line."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from devicedb.drivers.catalogue import RELEASES
from devicedb.errors import DeviceDBError
from devicedb.model.rule import Severity
from devicedb.rules.registry import RULES
from devicedb.suggest import did_you_mean


class SettingsError(DeviceDBError):
    """A setting in pyproject.toml or on the command line is unknown or has an invalid value."""


@dataclass(frozen=True)
class Settings:
    """What to check, and how strictly."""

    select: tuple[str, ...] = ()
    """Rules to run: codes or their beginnings; empty: all."""
    ignore: tuple[str, ...] = ()
    """Rules not to run: codes or their beginnings."""
    fail_on: Severity = Severity.ERROR
    """The mildest severity that makes the check fail."""
    show: Severity = Severity.WARNING
    """The mildest severity that is shown."""
    artiq_release: str | None = None
    """None: the installed release, else the newest."""
    search_path: tuple[str, ...] = ()
    """Folders to search for drivers, before `sys.path`."""
    experiments: tuple[str, ...] = ()
    """Folders of experiments."""
    assume_installed: tuple[str, ...] = ()
    """Packages of the laboratory whose imports succeed though they are not installed."""
    time_limit: float = 10.0
    """Time limit of a file, in seconds."""
    construct: str = "no"
    """Which local devices to construct: "no", "artiq" (drivers of ARTIQ) or "all"."""
    artiq_python: str | None = None
    """Interpreter that has ARTIQ, for `construct`; None: this one."""
    static: bool = False
    """Do not run the file."""

    def wants(self, code: str) -> bool:
        """Whether a rule is to be run."""
        is_selected = not self.select or code.startswith(self.select)
        return is_selected and not (self.ignore and code.startswith(self.ignore))


_LISTS: Final = ("select", "ignore", "search_path", "experiments", "assume_installed")


def from_table(table: dict[str, Any], origin: str, folder: Path) -> Settings:
    """Return the settings of a `[tool.devicedb]` table.

    Args:
        table: The table; its keys are the settings' names with hyphens.
        origin: The file, for messages.
        folder: Folder of the file: paths in it are relative to that.

    Raises:
        SettingsError: A key is unknown or its value is invalid.

    """
    known = {each.name.replace("_", "-"): each.name for each in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = known.get(key.replace("_", "-"))
        if name is None:
            hint = did_you_mean(key, known)
            raise SettingsError(f"{origin}: [tool.devicedb] has no setting {key!r}.{hint}")
        values[name] = checked(name, value, origin)
    for name in ("search_path", "experiments"):
        if name in values:
            values[name] = tuple(str(folder / each) for each in values[name])
    return Settings(**values)


def checked(name: str, value: Any, origin: str) -> Any:
    """Return a setting's value as `Settings` stores it; SettingsError if it is invalid."""
    where = f"{origin}: {name.replace('_', '-')}"
    if name in _LISTS:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(each, str) for each in items):
            raise SettingsError(f"{where} must be a list of strings, not {value!r}")
        if name in {"select", "ignore"}:
            for code in items:
                if not any(rule.startswith(code) for rule in RULES):
                    raise SettingsError(f"{where}: no rule's code is or begins with {code!r}")
        return tuple(items)
    if name in {"fail_on", "show"}:
        if value not in set(Severity):
            raise SettingsError(f"{where} must be one of {', '.join(Severity)}, not {value!r}")
        return Severity(value)
    if name == "artiq_release":
        if str(value) not in RELEASES:
            raise SettingsError(f"{where} must be one of {', '.join(RELEASES)}, not {value!r}")
        return str(value)
    if name == "construct":
        if value not in {"no", "artiq", "all"}:
            raise SettingsError(f"{where} must be one of no, artiq, all, not {value!r}")
        return value
    if name == "artiq_python":
        if not isinstance(value, str):
            raise SettingsError(f"{where} must be the path of an interpreter, not {value!r}")
        return value
    if name == "time_limit":
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 3600:
            raise SettingsError(f"{where} must be a number of seconds, not {value!r}")
        return float(value)
    if not isinstance(value, bool):
        raise SettingsError(f"{where} must be true or false, not {value!r}")
    return value


def find(start: Path) -> Settings:
    """Return the settings of the nearest pyproject.toml with a `[tool.devicedb]`, at or above a folder."""
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        import tomllib  # the slowest import of a start, and often not needed

        try:
            table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("devicedb")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise SettingsError(f"{path}: cannot be read: {error}") from None
        if isinstance(table, dict):
            return from_table(table, str(path), folder)
    return Settings()


def override(settings: Settings, given: dict[str, Any]) -> Settings:
    """Return the settings, overridden by the command line."""
    changes = {
        name: checked(name, value, "command line") for name, value in given.items() if value is not None
    }
    return replace(settings, **changes)

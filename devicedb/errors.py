"""Errors of device databases and of names in them, and the base of all errors. The text is the whole message."""


class ExpectedError(Exception):
    """Base of every error that bad input or a bad peer causes: a command prints it as one line and ends with 2."""


class DeviceDBError(ExpectedError):
    """Base of every error of a device database."""


class DatabaseLoadError(DeviceDBError):
    """The database cannot be loaded.

    Args:
        origin: The file, or another origin of the database.
        line: 1-based line in `origin` (or in the file that it imports), None where there is none.
        problem: What is wrong and what to do about it.

    """

    def __init__(self, origin: str, line: int | None, problem: str) -> None:
        self.origin = origin
        self.line = line
        self.problem = problem
        super().__init__(f"{origin}:{line}: {problem}" if line is not None else f"{origin}: {problem}")


class UnknownDeviceError(DeviceDBError):
    """A name is in the database neither as an entry nor as an alias of one."""


class AliasLoopError(DeviceDBError):
    """Aliases lead back to one of themselves."""


class InvalidEntryError(DeviceDBError):
    """An entry lacks a field that its type needs, or has an invalid value."""


class NotAControllerError(DeviceDBError):
    """An endpoint was asked of an entry that is no controller and no target of one."""


class MissingVariableError(DeviceDBError):
    """A path in an entry needs an environment variable that is not set."""


class CommandTemplateError(DeviceDBError):
    """The command of a controller cannot be formatted or split into words."""

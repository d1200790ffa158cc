"""What can be wrong with a device database or with a name asked of it. The text is the whole message."""


class DeviceDBError(Exception):
    """Base of every error that a device database, or a name asked of it, can cause."""


class DatabaseLoadError(DeviceDBError):
    """The database could not be loaded at all.

    Args:
        origin: The file, or whatever else the database comes from.
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
    """An entry that is used lacks what its type needs, or has it in a form that cannot work."""


class NotAControllerError(DeviceDBError):
    """An endpoint was asked of an entry that is no controller and no target of one."""


class MissingVariableError(DeviceDBError):
    """A path in an entry needs an environment variable that is not set."""


class CommandTemplateError(DeviceDBError):
    """The command of a controller cannot be formatted or split into words."""

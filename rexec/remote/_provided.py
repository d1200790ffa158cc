"""Names that only exist on the controller, so that editors and type checkers know them here."""

from typing import Any, Protocol, TypeVar, cast, overload

T = TypeVar("T")


class Placeholder:
    """Stands here for something that the controller provides.

    Args:
        name: Its name there.

    """

    def __init__(self, name: str) -> None:
        self.rexec_name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(
            f"{self.rexec_name}.{name} exists on the controller only: use it in a remote function"
        )


@overload
def provided(name: str) -> Any: ...
@overload
def provided(name: str, kind: type[T]) -> T: ...
def provided(name: str, kind: Any = None) -> Any:
    """Return a stand-in for an object of the controller's namespace, of a type that editors know.

        camera: Camera = provided("controller_driver")  # Camera is a class or a Protocol

    Args:
        name: Its name there, such as "controller_driver".
        kind: Its class here, for type checkers, in place of the annotation; not looked at otherwise.

    """
    return Placeholder(name)


class CurrentJob(Protocol):
    """The job that remote code runs in."""

    @property
    def cancelled(self) -> bool:
        """Whether the job is to end: cancelled, past its deadline, or its client has gone."""

    def check(self) -> None:
        """End the job here if it is to end."""

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell the caller how far the job is; ends the job here if it is to end.

        Args:
            fraction: From 0 to 1.
            message: What it does now.

        """

    def sleep(self, seconds: float) -> None:
        """Wait, and end the job if it is to end meanwhile."""

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, None if there is none."""


controller_driver: Any = Placeholder("controller_driver")
controller_initial_namespace: dict[str, Any] = cast(
    dict[str, Any], Placeholder("controller_initial_namespace")
)
job: CurrentJob = cast(CurrentJob, Placeholder("job"))

"""What a master that runs no experiments says to those who ask for them: nothing is there, and a refusal says why."""

from collections.abc import Callable
from typing import Any, Final, NoReturn

from rexec.master.errors import NotServedError

_REFUSAL: Final = (
    "this master serves datasets and devices and runs no experiments. Run them with `rexec run --master HOST`"
)


class ScheduleTarget:
    """An empty schedule."""

    def get_status(self) -> dict[int, Any]:
        """Return the runs that are scheduled: none."""
        return {}

    def check_pause(self, rid: int) -> NoReturn:
        """Refuse: there is no such run."""
        raise KeyError("RID not found")

    def check_termination(self, rid: int) -> NoReturn:
        """Refuse: there is no such run."""
        raise KeyError("RID not found")

    def delete(self, rid: int) -> NoReturn:
        """Refuse: there is no such run."""
        raise KeyError("RID not found")

    def request_termination(self, rid: int) -> NoReturn:
        """Refuse: there is no such run."""
        raise KeyError("RID not found")

    def submit(
        self,
        pipeline_name: str,
        expid: Any,
        priority: int = 0,
        due_date: float | None = None,
        flush: bool = False,
    ) -> NoReturn:
        """Refuse, and say how to run an experiment."""
        raise NotServedError(_REFUSAL)


class ExperimentTarget:
    """A repository of no experiments."""

    def scan_repository(self, new_cur_rev: str | None = None) -> NoReturn:
        """Refuse: there is no repository."""
        raise NotServedError(_REFUSAL)

    def scan_repository_async(self, new_cur_rev: str | None = None) -> NoReturn:
        """Refuse: there is no repository."""
        raise NotServedError(_REFUSAL)

    def list_directory(self, directory: str) -> NoReturn:
        """Refuse: there is no repository."""
        raise NotServedError(_REFUSAL)

    def examine(self, filename: str, use_repository: bool = True, revision: str | None = None) -> NoReturn:
        """Refuse: there is no repository."""
        raise NotServedError(_REFUSAL)


class InteractiveTarget:
    """Requests of experiments for arguments: none."""

    def supply(self, rid: int, values: Any) -> NoReturn:
        """Refuse: no run asks for arguments."""
        raise KeyError(f"run {rid} asks for no arguments")

    def cancel(self, rid: int) -> NoReturn:
        """Refuse: no run asks for arguments."""
        raise KeyError(f"run {rid} asks for no arguments")


class ManagementTarget:
    """The master itself: its name, its state, its end."""

    def __init__(
        self, name: str | None, status: Callable[[], dict[str, Any]], terminate: Callable[[], None] | None
    ) -> None:
        self.__name: Final = name
        self.__status: Final = status
        self.__terminate: Final = terminate

    def get_name(self) -> str | None:
        """Return the name for people, None where none was given."""
        return self.__name

    def status(self) -> dict[str, Any]:
        """Return what is served to whom: see `rexec.master.Master.status`."""
        return self.__status()

    def terminate(self) -> None:
        """End the master, once this is answered."""
        if self.__terminate is None:
            raise NotServedError("these datasets are a run's, and end with it")
        self.__terminate()

"""RPC targets of a master that runs no experiments: they are empty, and refuse requests with the reason."""

from collections.abc import Callable
from typing import Any, Final, NoReturn

from rexec.master.errors import NotServedError

_REFUSAL: Final = (
    "this master serves datasets and devices but runs no experiments. Run them with `rexec run --master HOST`"
)


class ScheduleTarget:
    """An empty schedule."""

    def get_status(self) -> dict[int, Any]:
        """Return no runs."""
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
        """Refuse; the error says how to run an experiment."""
        raise NotServedError(_REFUSAL)


class ExperimentTarget:
    """An empty repository."""

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
    """Interactive arguments of experiments, of which there are none."""

    def supply(self, rid: int, values: Any) -> NoReturn:
        """Refuse: no run asks for arguments."""
        raise KeyError(f"run {rid} asks for no arguments")

    def cancel(self, rid: int) -> NoReturn:
        """Refuse: no run asks for arguments."""
        raise KeyError(f"run {rid} asks for no arguments")


class ManagementTarget:
    """Name, state and termination of the master."""

    def __init__(
        self, name: str | None, status: Callable[[], dict[str, Any]], terminate: Callable[[], None] | None
    ) -> None:
        self.__name: Final = name
        self.__status: Final = status
        self.__terminate: Final = terminate

    def get_name(self) -> str | None:
        """Return the name for people, or None."""
        return self.__name

    def status(self) -> dict[str, Any]:
        """Return the state: see `rexec.master.Master.status`."""
        return self.__status()

    def terminate(self) -> None:
        """End the master after this answer."""
        if self.__terminate is None:
            raise NotServedError("this master belongs to a run, and ends with it")
        self.__terminate()

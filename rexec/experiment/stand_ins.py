"""The virtual devices `scheduler` and `ccb` of a run that has no master."""

import logging
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from rexec.experiment.errors import NeedsMasterError, termination_exception

logger = logging.getLogger(__name__)


class Termination:
    """A request to end the run; set from a signal handler or another thread."""

    def __init__(self) -> None:
        self.requested = False
        """Whether the run was asked to end."""
        self.watched = False
        """Whether the experiment has asked for it; if so, it gets time to end by itself."""

    def request(self) -> None:
        """Ask the run to end."""
        self.requested = True


class Scheduler:
    """Stands in for a master's scheduler: this run is the only one, of the highest priority.

    Args:
        rid: Number of the run.
        expid: What is run: file, class_name, arguments, log_level, repo_rev, devarg_override.
        termination: Set when the user asks the run to end.
        pipeline_name, priority: As an experiment may ask for them.

    """

    def __init__(
        self,
        rid: int,
        expid: Mapping[str, Any],
        termination: Termination,
        pipeline_name: str = "main",
        priority: int = 0,
    ) -> None:
        self.rid: Final = rid
        self.expid: Final = dict(expid)
        self.pipeline_name: Final = pipeline_name
        self.priority: Final = priority
        self._termination = termination
        self.status = "preparing"

    def pause(self) -> None:
        """Raise TerminationRequested if the run is to end; there are no other runs to give way to."""
        self._termination.watched = True
        if self._termination.requested:
            raise termination_exception()("the run was asked to end")

    def check_pause(self, rid: int | None = None) -> bool:
        """Return whether the run is to end: then `pause()` raises."""
        return self.check_termination(rid)

    def check_termination(self, rid: int | None = None) -> bool:
        """Whether the run was asked to end."""
        self._own(rid, "check_termination")
        self._termination.watched = True
        return self._termination.requested

    def request_termination(self, rid: int) -> None:
        """Ask the run to end at its next `pause()`."""
        self._own(rid, "request_termination")
        self._termination.request()

    def get_status(self) -> dict[int, dict[str, Any]]:
        """Return the runs of the schedule: this one."""
        return {
            self.rid: {
                "pipeline": self.pipeline_name,
                "expid": self.expid,
                "priority": self.priority,
                "due_date": None,
                "flush": False,
                "status": self.status,
                "repo_msg": None,
            }
        }

    def submit(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise NeedsMasterError: there is no queue here."""
        self._needs_master("submit")

    def delete(self, rid: int) -> NoReturn:
        """Raise NeedsMasterError: only `request_termination` of this run works here."""
        self._needs_master("delete")

    def _own(self, rid: int | None, method: str) -> None:
        if rid is not None and rid != self.rid:
            self._needs_master(f"{method} of run {rid}")

    def _needs_master(self, what: str) -> NoReturn:
        raise NeedsMasterError(
            f"scheduler: {what} needs a master with its queue; this is `rexec run`, which knows run "
            f"{self.rid} only. Submit the experiment to an ARTIQ master instead"
        )


class CCB:
    """Stands in for a master's client control broadcast: logs the requests, because there are no dashboards."""

    def issue(self, service: str, *args: Any, **kwargs: Any) -> None:
        """Log a request to dashboards."""
        shown = [repr(each) for each in args] + [f"{key}={value!r}" for key, value in kwargs.items()]
        logger.info("ccb: no dashboard for %s(%s)", service, ", ".join(shown))

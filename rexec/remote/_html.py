"""What notebooks show of remotes, remote functions, jobs, streams and fleets."""

import inspect
from typing import TYPE_CHECKING, Any, Final

from devicedb import html

if TYPE_CHECKING:
    from rexec.remote._fleet import Fleet, FleetResults
    from rexec.remote._function import RemoteFunction
    from rexec.remote._jobs import Job
    from rexec.remote._remote import Remote

_MOST_LINES: Final = 20
"""Last lines of a job's output that are shown."""


def job_html(job: "Job[Any]") -> str:
    """Return state, progress and output of a job."""
    fraction, message = job.progress
    state = repr(job).partition(": ")[2].rstrip(">").partition(",")[0]
    bar = f'<progress value="{fraction:.3f}" max="1"></progress>' if not job.done() or fraction else ""
    lines = job.output[-_MOST_LINES:]
    left_out = len(job.output) - len(lines)
    text = "\n".join([*([f"({left_out} lines before)"] if left_out else []), *lines])
    return (
        html.heading(f"{job.name} on {job.where}", f"{state} {message}".rstrip())
        + bar
        + (html.text_block(text) if text else "")
    )


def remote_html(remote: "Remote") -> str:
    """Return a device with remote functions, and the jobs of this client there."""
    jobs = [(job.name, job.state, f"{job.progress[0]:.0%} {job.progress[1]}") for job in remote.active_jobs]
    return html.heading(remote.name, "runs remote functions") + (
        html.table(("job", "state", "progress"), jobs) if jobs else ""
    )


def function_html(function: "RemoteFunction[Any, Any]", where: str) -> str:
    """Return a remote function: where it runs, and its source."""
    try:
        source = inspect.getsource(function.__wrapped__)
    except (OSError, TypeError):
        source = ""
    return html.heading(function.__wrapped__.__name__, f"runs on {where}") + html.text_block(source)


def fleet_html(fleet: "Fleet") -> str:
    """Return the devices of a fleet and how many jobs each has."""
    rows = [(name, len(remote.active_jobs)) for name, remote in fleet.devices.items()]
    return html.heading("Fleet", f"of {len(rows)}") + html.table(("device", "jobs"), rows)


def results_html(results: "FleetResults[Any]") -> str:
    """Return the value or the error of each device."""
    rows = [(name, f"{value!r:.200}", "") for name, value in results.values.items()]
    rows += [(name, "", f"{type(error).__name__}: {error}") for name, error in results.errors.items()]
    return html.table(("device", "value", "error"), rows)

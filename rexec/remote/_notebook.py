"""Shows a job below the cell of a notebook that waits for it, with its progress and output."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rexec.remote._jobs import Job

_PATIENCE: Final = 0.5
"""Seconds for which a job is waited for before it is shown."""
_EVERY: Final = 0.3
"""Seconds between two updates."""


@contextmanager
def shown(job: "Job[Any]") -> Iterator[None]:
    """Show a job while the context lasts, in a notebook only."""
    if job.done() or not _in_notebook():
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_show, args=(job, ended), name=f"rexec shows {job.name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(1.0)


def _in_notebook() -> bool:
    """Return whether this is a notebook's kernel, in the thread that runs its cells."""
    if "IPython" not in sys.modules or threading.current_thread() is not threading.main_thread():
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def _show(job: "Job[Any]", ended: threading.Event) -> None:
    from IPython.display import display

    if ended.wait(_PATIENCE):
        return
    handle = display(job, display_id=True)
    while not ended.wait(_EVERY):
        handle.update(job)
    handle.update(job)

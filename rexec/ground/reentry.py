"""Refuses a change in the middle of another one, by a signal handler or finalizer that has interrupted it."""

from typing import Any


def refuse_reentry(lock: Any, refusal: type[Exception], name: str = "") -> None:
    """Raise an error if the calling thread already holds the lock of a change.

    Args:
        lock: A `threading.RLock`, which knows its thread: a `Lock` would be waited for, for ever.
        refusal: What is raised.
        name: The dataset that is not changed, if it is known.

    """
    if lock._is_owned():  # noqa: SLF001 - `threading.Condition` asks it, too
        raise refusal(
            f"{f'dataset {name}' if name else 'a dataset'} is not changed: a signal handler or finalizer has "
            "interrupted another change. Let it set a flag, and have the experiment look at that"
        )

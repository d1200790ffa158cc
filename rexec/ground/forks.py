"""Tells a process from one that was forked from it, at the cost of reading a variable."""

import os

generation = 0
"""How many forks lie between this process and the one that imported this module first.

An object that must not be shared by a fork keeps the number that it was made with; where the number is another one, the
object belongs to an ancestor. Read it as `forks.generation`. `os.getpid` says the same, but is a system call.
"""


def _count_fork() -> None:
    global generation
    generation += 1


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_count_fork)

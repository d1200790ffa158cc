"""Identifies one run of an experiment: who ran what, when, with which code and devices.

It is written into the result file before any data. Plain dataclasses, not models: programs make them, and a run without
data starts in less time than the models take to import.
"""

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class GitState:
    """The state of the repository that the experiment's file is in.

    Args:
        root: Top folder of the work tree.
        commit: Hash of HEAD; None before the first commit.
        branch: Name of the branch; None when detached.
        dirty: Whether tracked files differ from HEAD; None: not known.
        diff: The output of `git diff HEAD`, empty for a clean tree.
        diff_cut: Whether the diff is cut because it was too long.
        tracked: Whether the experiment's file is tracked; None: not known.
        untracked: Python files beside and below the experiment that are not tracked.

    """

    root: str
    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    diff: str = ""
    diff_cut: bool = False
    tracked: bool | None = None
    untracked: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return dict(vars(self))


@dataclass(frozen=True)
class RunIdentity:
    """The metadata of a run.

    Args:
        rid: Number of the run, unique in its results folder; at least 0.
        class_name: Name of the experiment class; not empty.
        start_time: When the run was built, seconds since the epoch.
        file: File of the experiment.
        run_time: When run() began, seconds since the epoch; None before that.
        artiq_version: Version of ARTIQ that ran it; of this toolkit if it ran without ARTIQ.
        expid: ARTIQ's description of the run: file, class_name, arguments (with the defaults that were used),
            log_level, repo_rev, devarg_override.
        user_arguments: The arguments that the user gave, without defaults.
        git: State of the experiment's repository, if any.
        device_db: The device database as it was.
        device_db_origin: Its file, or the master it came from.
        device_db_sha256: SHA-256 of the database's PYON, to compare runs by.
        devices_used: Names of the device database that the run asked for.
        simulated: Simulated entries of the device database: such a run measured nothing.
        versions: Versions of Python, this toolkit and the libraries that matter.
        sources: SHA-256 of a source text, the text: the experiment's file, the modules of its folder that it imports,
            and code sent to controllers.
        host: Name of the machine.
        person: Login name of the one who ran it.
        person_known_by: How that is known: "kernel" (the user of the process) or "claimed" (the environment).
        machine: Name of the machine, as `host`.
        program: Name of the program that ran it.
        command: The command line, where there was one.
        recording: What a bridge records: mode, master, and which datasets. None: it is a run.

    Raises:
        ValueError: The number is negative, or there is no class name.

    """

    rid: int
    class_name: str
    start_time: float
    file: str | None = None
    run_time: float | None = None
    artiq_version: str = ""
    expid: dict[str, Any] = field(default_factory=dict)
    user_arguments: dict[str, Any] = field(default_factory=dict)
    git: GitState | None = None
    device_db: dict[str, Any] | None = None
    device_db_origin: str | None = None
    device_db_sha256: str | None = None
    devices_used: list[str] = field(default_factory=list)
    simulated: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    host: str | None = None
    person: str | None = None
    person_known_by: str | None = None
    machine: str | None = None
    program: str | None = None
    command: list[str] = field(default_factory=list)
    recording: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.rid < 0:
            raise ValueError(f"a run cannot have the number {self.rid}; numbers start at 0")
        if not self.class_name:
            raise ValueError("a run needs the name of its experiment class")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name; the state of the repository is a dict, too."""
        return {**vars(self), "git": None if self.git is None else self.git.as_dict()}


RUN_FIELDS = frozenset(each.name for each in fields(RunIdentity))
"""Names of the fields of a run's identity."""

"""What identifies one run of an experiment: who ran what, when, with which code and which devices.

It is written into the result file before any data, so that a file that holds anything holds this.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class GitState(BaseModel):
    """The state of the repository that the experiment's file is in."""

    model_config = ConfigDict(frozen=True, extra="allow")

    root: str = Field(description="Top folder of the work tree.")
    commit: str | None = Field(default=None, description="Hash of HEAD; None before the first commit.")
    branch: str | None = Field(default=None, description="Name of the branch; None when detached.")
    dirty: bool | None = Field(
        default=None, description="Whether tracked files differ from HEAD; None: not known."
    )
    diff: str = Field(default="", description="The output of `git diff HEAD`, empty for a clean tree.")
    diff_cut: bool = Field(
        default=False, description="Whether the diff was too long, and is its beginning only."
    )
    tracked: bool | None = Field(
        default=None, description="Whether the experiment's file is tracked; None: not known."
    )
    untracked: list[str] = Field(
        default_factory=list, description="Python files beside and below the experiment that are not tracked."
    )


class RunIdentity(BaseModel):
    """Everything about a run that is not its data."""

    model_config = ConfigDict(frozen=True, extra="allow")

    rid: int = Field(ge=0, description="Number of the run, unique in its results folder.")
    class_name: str = Field(min_length=1, description="Name of the experiment class.")
    file: str | None = Field(default=None, description="File of the experiment.")
    start_time: float = Field(description="When the run was built, seconds since the epoch.")
    run_time: float | None = Field(
        default=None, description="When run() began, seconds since the epoch; None before that."
    )
    artiq_version: str = Field(
        default="", description="Version of ARTIQ that ran it; of this toolkit where ARTIQ took no part."
    )
    expid: dict[str, Any] = Field(
        default_factory=dict,
        description="ARTIQ's description of the run: file, class_name, arguments (with the defaults that "
        "were used), log_level, repo_rev, devarg_override.",
    )
    user_arguments: dict[str, Any] = Field(
        default_factory=dict, description="The arguments that the user gave, without defaults."
    )
    git: GitState | None = Field(default=None, description="State of the experiment's repository, if any.")
    device_db: dict[str, Any] | None = Field(default=None, description="The device database as it was.")
    device_db_origin: str | None = Field(default=None, description="Its file, or the master it came from.")
    device_db_sha256: str | None = Field(
        default=None, description="SHA-256 of the database's PYON, to compare runs by."
    )
    simulated: list[str] = Field(
        default_factory=list,
        description="Entries of the device database for which something stood in: such a run measured nothing.",
    )
    versions: dict[str, str] = Field(
        default_factory=dict, description="Versions of Python, this toolkit and the libraries that matter."
    )
    sources: dict[str, str] = Field(
        default_factory=dict,
        description="SHA-256 of a source text, the text: the experiment's file, the modules of its folder that it "
        "imports, and code sent to controllers.",
    )
    host: str | None = Field(default=None, description="Name of the machine.")
    command: list[str] = Field(default_factory=list, description="The command line, where there was one.")

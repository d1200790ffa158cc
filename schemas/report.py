"""The JSON report of `devicedb check --format json`, for whoever reads it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Position = Annotated[int, Field(ge=1)]
SeverityName = Literal["error", "warning", "info"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FindingModel(_Model):
    """One finding. Lines and columns count from 1; the end column is the one after the last."""

    code: str = Field(pattern=r"^DDB\d{3}$", description="Code of the rule; stable.")
    severity: SeverityName
    file: str
    line: Position
    column: Position
    end_line: Position
    end_column: Position
    entry: str = Field(description="Name in the database; empty where the finding is about no entry.")
    message: str = Field(description="What is wrong and why it matters.")
    hint: str = Field(description="What to write instead; may be empty.")


class SummaryModel(_Model):
    """How much was found."""

    files: list[str]
    by_severity: dict[SeverityName, Count]
    by_code: dict[str, Count]
    ignored: Count = Field(description="Findings that a comment in a file silenced.")
    notes: list[str] = Field(description="What could not be looked at, and why.")


class ReportModel(_Model):
    """The whole report."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Report of devicedb check")

    version: Literal[1]
    findings: list[FindingModel]
    summary: SummaryModel

"""The JSON report of `devicedb check --format json`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Position = Annotated[int, Field(ge=1)]
SeverityName = Literal["error", "warning", "info"]


class _ReportPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EditModel(_ReportPart):
    """Replacement of a stretch of a file, in lines and columns of a finding. Equal ends: text is inserted."""

    file: str
    line: Position
    column: Position
    end_line: Position
    end_column: Position
    text: str


class FixModel(_ReportPart):
    """What mends a finding without judgement."""

    title: str
    edits: list[EditModel] = Field(description="All are made, or none. Empty: see refusal.")
    refusal: str = Field(
        description="Why the place is left alone, for example because a loop makes the value."
    )


class FindingModel(_ReportPart):
    """One finding. Lines and columns count from 1; the end column is the one after the last."""

    code: str = Field(pattern=r"^DDB\d{3}$", description="Code of the rule; stable.")
    severity: SeverityName
    file: str
    line: Position
    column: Position
    end_line: Position
    end_column: Position
    entry: str = Field(description="Name in the database; empty if the finding is about no entry.")
    entries: list[str] = Field(
        default_factory=list, description="All entries with this fault, if one expression makes several."
    )
    message: str = Field(description="What is wrong and why it matters.")
    hint: str = Field(description="What to write instead; may be empty.")
    fix: FixModel | None = Field(None, description="The edits that mend it; null if that takes judgement.")


class SummaryModel(_ReportPart):
    """How much was found."""

    files: list[str]
    by_severity: dict[SeverityName, Count]
    by_code: dict[str, Count]
    ignored: Count = Field(description="Number of findings silenced by a comment.")
    notes: list[str] = Field(description="What could not be checked, and why.")


class ReportModel(_ReportPart):
    """The whole report."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Report of devicedb check")

    version: Literal[1]
    findings: list[FindingModel]
    summary: SummaryModel

"""How a run ended, by what ended it."""

import sys
from pathlib import Path

import pytest

from rexec.experiment import TerminationRequested
from rexec.experiment.lifecycle import RunOutcome
from rexec.experiment.loading import import_file
from rexec.experiment.tracebacks import argument_at


def chained(first: BaseException, second: BaseException) -> BaseException:
    try:
        try:
            raise first
        except BaseException:
            raise second  # noqa: B904  # what a clean-up raises
    except BaseException as error:
        return error


@pytest.mark.parametrize(
    ("error", "asked", "status", "remark"),
    [
        (None, False, "completed", ""),
        (None, True, "completed", "asked to end"),
        (KeyboardInterrupt(), True, "interrupted", ""),
        (TerminationRequested(), True, "interrupted", ""),
        (chained(KeyboardInterrupt(), OSError("while closing")), True, "interrupted", ""),
        (chained(KeyboardInterrupt(), SystemExit()), True, "interrupted", ""),
        (ValueError("of its own"), True, "failed", ""),
        (SystemExit(), False, "completed", "ended itself in run() by sys.exit()"),
        (SystemExit(0), False, "completed", "ended itself"),
        (SystemExit(3), False, "failed", ""),
        (SystemExit("text"), False, "failed", ""),
    ],
)
def test_only_what_was_cut_short_is_interrupted(
    error: BaseException | None, asked: bool, status: str, remark: str
) -> None:
    outcome = RunOutcome(phase="run", error=error, asked_to_end=asked)
    assert outcome.status == status
    assert remark in outcome.remark
    assert bool(remark) == bool(outcome.remark)


BUILD = """
from rexec.experiment import *

def made(default):
    return NumberValue(default)

class Measure(EnvExperiment):
    def build(self):
        {}
"""


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("self.setattr_argument('x', NumberValue('five'))", "x"),
        (
            "self.x = self.get_argument(\n            'x',\n            EnumerationValue(['a'], 'b'),\n        )",
            "x",
        ),
        ("for key in ('a', 'b'): self.setattr_argument(key, made(None if key == 'b' else 1))", "b"),
        ("processor = NumberValue(None)", None),
        ("1 / 0", None),
    ],
)
def test_a_processor_that_cannot_be_made_names_its_argument(
    tmp_path: Path, statement: str, name: str | None
) -> None:
    path = tmp_path / "wrong_processor.py"
    path.write_text(BUILD.format(statement))

    class Arguments:
        def get(self, *_: object) -> None:
            """Any argument is there."""

    try:
        with pytest.raises((ValueError, ZeroDivisionError)) as caught:
            import_file(path).Measure((None, None, Arguments(), {}))
    finally:
        sys.modules.pop("artiq_run_wrong_processor", None)
    assert argument_at(caught.value) == name

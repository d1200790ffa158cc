"""A sample of the campaign that compares what an experiment sets with what h5py makes of it."""

from pathlib import Path

import pytest

from tests.campaigns.value_cases import CASES
from tests.campaigns.values import run

NAMES = [*list(CASES)[::6], "list float and np.float64", "masked", "pd.Series", "xr.DataArray", "np.void"]


@pytest.mark.slow
def test_the_file_holds_what_h5py_makes_of_each_value(tmp_path: Path) -> None:
    outcomes = run(tmp_path, list(dict.fromkeys(NAMES)))
    assert len(outcomes) > 80
    assert [(outcome.name, outcome.faults) for outcome in outcomes if outcome.faults] == []


def test_there_are_values_of_every_sort() -> None:
    assert len(CASES) >= 150

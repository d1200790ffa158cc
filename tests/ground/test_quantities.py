"""Numbers as people see them: in the unit of their metadata, whatever the metadata are."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexec.ground.quantities import Display, display_of
from rexec.ground.units import UNITS


@pytest.mark.parametrize(
    ("value", "metadata", "text", "base"),
    [
        (5e-6, {"unit": "us"}, "5 us", "s"),
        (5e-6, {"unit": "us", "scale": 1e-6, "precision": 2}, "5.00 us", "s"),
        (5.0, {"unit": "us", "scale": 1}, "5 us", "us"),
        (729.3e6, {"unit": "MHz"}, "729.3 MHz", "Hz"),
        (3, {}, "3", ""),
        (np.int64(3), {"unit": "counts"}, "3 counts", "counts"),
        (2.0, {"unit": "mG", "scale": 1e-3}, "2000 mG", "1000 mG"),
        (0.5, {"unit": "dB"}, "0.5 dB", "dB"),
        (float("nan"), {"unit": "us"}, "nan us", "s"),
        (1.0, {"precision": -5}, "1", ""),
        (1.0, {"scale": 0, "unit": 7}, "1", ""),
        (1.0, {"scale": "x", "precision": "y"}, "1", ""),
    ],
)
def test_a_number_is_shown_in_its_unit(value: Any, metadata: dict[str, Any], text: str, base: str) -> None:
    display = display_of(metadata)
    assert display.with_unit(value) == text
    assert display.base_unit == base


@given(
    st.integers() | st.floats() | st.floats(width=32).map(np.float32) | st.integers(0, 255).map(np.uint8),
    st.dictionaries(
        st.sampled_from(["unit", "scale", "precision"]),
        st.none() | st.text(max_size=3) | st.integers() | st.floats() | st.sampled_from(sorted(UNITS)),
    ),
)
def test_no_number_and_no_metadata_raise(value: Any, metadata: dict[str, Any]) -> None:
    display = display_of(metadata)
    assert isinstance(display.with_unit(value), str)
    assert isinstance(display.base_unit, str)


@given(st.floats(1e-3, 1e3), st.sampled_from(sorted(UNITS)))
def test_the_number_shown_times_the_scale_is_the_number_stored(value: float, unit: str) -> None:
    shown = float(display_of({"unit": unit}).number(value))
    assert shown * UNITS[unit] == pytest.approx(value, rel=1e-5)


def test_without_metadata_nothing_is_scaled() -> None:
    assert display_of({}) == Display()


def test_an_int_of_thousands_of_digits_is_shown_by_its_first_ones() -> None:
    assert display_of({}).number(-(10**5000)).startswith("-10000")
    assert "digits)" in display_of({"unit": "us"}).number(10**5000)

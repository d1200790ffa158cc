"""The value that stands for any of a type."""

from typing import Any

import numpy as np
import pytest

from rexec.simulate.values import plain_value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (None, None),
        ("None", None),
        ("bool", False),
        ("int", 0),
        ("float", 0.0),
        ("complex", 0j),
        ("str", ""),
        ("bytes", b""),
        ("list[int]", []),
        ("dict[str, float]", {}),
        ("Mapping[str, float]", {}),
        ("set[int]", set()),
        ("tuple[int, float, str]", (0, 0.0, "")),
        ("tuple[int, ...]", ()),
        ("int | None", 0),
        ("None | float", 0.0),
        ("Optional[str]", ""),
        ("typing.Union[None, int]", 0),
        ("Literal['on', 'off']", "on"),
        ("'list[int]'", []),
        ("TInt32", 0),
        ("TTuple([TInt32, TFloat])", (0, 0.0)),
        ("TList(TInt32)", []),
        ("SomeClass", None),
        ("not a type(", None),
        ("__import__('os').getcwd()", None),
    ],
)
def test_it_is_the_plainest_one_of_the_type(annotation: str | None, value: Any) -> None:
    found = plain_value(annotation)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("annotation", "dtype"),
    [
        ("NDArray[np.uint16]", np.uint16),
        ("np.ndarray", np.float64),
        ("np.ndarray[Any, np.dtype[np.int32]]", np.int32),
        ("npt.NDArray[np.float64] | None", np.float64),
    ],
)
def test_an_array_is_one_zero_of_its_dtype(annotation: str, dtype: Any) -> None:
    found = plain_value(annotation)
    assert found.dtype == dtype
    assert found.shape == (1,)
    assert found[0] == 0


def test_a_numpy_scalar_is_one() -> None:
    assert isinstance(plain_value("np.float32"), np.float32)

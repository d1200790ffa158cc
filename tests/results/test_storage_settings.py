"""Which storage settings a dataset may have, and what the journal keeps of them."""

from typing import Any

import pytest

from rexec.results.storage_settings import checked_settings


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, {}),
        *(({"compression": each}, {"compression": each}) for each in ("gzip", "lzf", None)),
        *(({"level": each}, {"level": each}) for each in (0, 9)),
        ({"compression": "gzip", "level": 3}, {"compression": "gzip", "level": 3}),
        *(({"shuffle": each}, {"shuffle": each}) for each in (True, False)),
        ({"chunks": 5}, {"chunks": [5]}),
        ({"chunks": (1, 2)}, {"chunks": [1, 2]}),
        ({"dtype": "float32"}, {"dtype": "<f4"}),
        ({"dtype": "int64"}, {"dtype": "<i8"}),
        ({"dtype": "c16"}, {"dtype": "<c16"}),
        ({"dtype": bool}, {"dtype": "|b1"}),
        ({"dtype": ">u2"}, {"dtype": ">u2"}),
    ],
)
def test_what_is_allowed_is_kept_plainly(settings: dict[str, Any], kept: dict[str, Any]) -> None:
    assert checked_settings("x", settings) == kept


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"odd": 1}, "there is no setting 'odd'; there are compression, level, shuffle, chunks, dtype"),
        ({"compression": "zip"}, "compression is 'gzip', 'lzf' or None, not 'zip'"),
        *(
            ({"level": each}, f"level is an int from 0 to 9, not {each!r}")
            for each in (-1, 10, True, 3.0, "3")
        ),
        *(
            ({"compression": each, "level": 3}, "a level is for the compression 'gzip' only")
            for each in ("lzf", None)
        ),
        *(({"shuffle": each}, f"shuffle is True or False, not {each!r}") for each in (1, None)),
        *(
            ({"chunks": each}, f"chunks are positive sizes, one a dimension, not {each!r}")
            for each in (0, -1, (), (1, 0), (1, True), (1.0,), ("1",))
        ),
        ({"chunks": None}, "'NoneType' object is not iterable"),
        *(({"dtype": each}, "dtype is one of numbers, not ") for each in ("S3", "U1", "O", "M8[s]", "V4")),
        ({"dtype": "nothing"}, "nothing"),
    ],
)
def test_what_is_not_is_told_with_the_dataset(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r"^storage of dataset 'x': ") as caught:
        checked_settings("x", settings)
    assert said in str(caught.value)


@pytest.mark.parametrize("kind", ["g", "G"])
def test_numbers_that_no_other_machine_has_are_none(kind: str) -> None:
    import numpy as np

    if np.dtype(kind).itemsize > (16 if kind == "G" else 8):  # some machines have them like others
        with pytest.raises(ValueError, match="dtype is one of numbers"):
            checked_settings("x", {"dtype": kind})

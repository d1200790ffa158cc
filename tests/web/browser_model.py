"""A line as the browser's script keeps it, written a second time: docs/reference/web-protocol.md."""

from typing import Any

import numpy as np

from rexec.web.plotted import Part


class LineModel:
    """Points of one column."""

    def __init__(self) -> None:
        self.places: list[float] = []
        self.values: list[float] = []
        self.along: list[float] = []
        self.is_text = True
        self.step = 1

    def take(self, part: Part) -> None:
        """Apply a part."""
        facts = part.facts
        self.is_text = facts["op"] != "points"
        if self.is_text:
            self.places, self.values, self.along = [], [], []
            return
        if facts["is_whole"]:
            self.places, self.values, self.along = [], [], []
        step, axis = facts["step"], facts["axis"]
        self.step = step
        each = 1 if step == 1 else 2
        start = facts["from"] * each
        total = facts["rows"] if step == 1 else 2 * -(-facts["rows"] // step)
        arrays: list[Any] = [array.reshape(-1).tolist() for array in part.arrays]
        if arrays:
            places = arrays[0] if step > 1 else list(range(start, start + len(arrays[-1])))
            values, along = arrays[-1], arrays[-2] if axis else []
            self.places[start : start + len(values)] = places
            self.values[start : start + len(values)] = values
            self.along[start : start + len(along)] = along
        del self.places[total:], self.values[total:], self.along[total:]

    def check(self, value: "np.ndarray[Any, Any]") -> None:
        """Check that each point is one of the dataset, and that no extreme of a stretch is missing."""
        if not len(value):
            assert not self.values
            return
        assert np.array_equal(value[np.asarray(self.places, int)], np.asarray(self.values), equal_nan=True)
        if self.along:
            assert self.along == self.places
        if self.step == 1:
            assert len(self.values) == len(value)
            return
        for number, begin in enumerate(range(0, len(value), self.step)):
            stretch, two = value[begin : begin + self.step], self.values[2 * number : 2 * number + 2]
            if not np.isnan(stretch).all():
                assert np.nanmax(stretch) == np.nanmax(two)
                assert np.nanmin(stretch) == np.nanmin(two)

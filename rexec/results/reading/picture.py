"""What a picture shows: its panels, its single numbers, and what is left out."""

from dataclasses import dataclass
from typing import Literal

from rexec.results.reading.stored import StoredDataset

Shape = Literal["line", "lines", "image", "histogram", "number"]


@dataclass(frozen=True)
class Panel:
    """One panel: a dataset, how it is drawn, and against what.

    Attributes:
        stored: The dataset.
        shape: How it is drawn.
        axes: The datasets of its axes; None: the number of the point.

    """

    stored: StoredDataset
    shape: Shape
    axes: tuple[StoredDataset | None, ...] = ()


@dataclass(frozen=True)
class PicturePlan:
    """What a picture will show.

    Attributes:
        panels: Datasets with a panel of their own.
        numbers: Single numbers, which share a panel.
        left_out: Names of datasets of numbers that are not drawn.

    """

    panels: list[Panel]
    numbers: list[StoredDataset]
    left_out: list[str]

    @property
    def drawn(self) -> list[str]:
        """Names of what is drawn."""
        return [panel.stored.key for panel in self.panels] + [stored.key for stored in self.numbers]

"""The datasets of a run as others see them: with all arrays in memory, read when they are asked for."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rexec.datasets.types import Dataset
from rexec.ground.kept import has_kept, in_memory


class _KeptDataset(Dataset):
    """A dataset with arrays that are not in memory: its value is read anew each time."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset.value, dataset.metadata, dataset.broadcast, dataset.persist)

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return in_memory(found) if name == "value" else found

    def __reduce__(self) -> tuple[Any, ...]:
        return Dataset, (self.value, self.metadata, self.broadcast, self.persist)


class LocalDatasets(Mapping[str, Dataset]):
    """A view of the datasets of a run.

    Args:
        datasets: The datasets.

    """

    def __init__(self, datasets: Mapping[str, Dataset]) -> None:
        self._datasets: Final = datasets

    def __getitem__(self, key: str) -> Dataset:
        dataset = self._datasets[key]
        return _KeptDataset(dataset) if has_kept(dataset.value) else dataset

    def __iter__(self) -> Iterator[str]:
        return iter(self._datasets)

    def __len__(self) -> int:
        return len(self._datasets)

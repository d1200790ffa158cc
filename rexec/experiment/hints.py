"""Hints of an experiment for its result file: how datasets are stored, and what to plot.

Functions, not methods alone: they take experiments of `artiq.experiment` as well, and take no notice where it is ARTIQ
that runs them (docs/decisions/0030-hints-are-functions.md).
"""

from collections.abc import Sequence
from typing import Any


def dataset_storage(experiment: Any, key: str, **settings: Any) -> None:
    """Say how a dataset is stored in the HDF5 file; best before it is set.

    Args:
        experiment: The experiment (`self`), of `rexec.experiment` or of `artiq.experiment`.
        key: Name of the dataset.
        settings: Any of `compression` ("gzip", "lzf", or None), `level` (0 to 9, of gzip), `shuffle` (bool), `chunks`
            (a size for each dimension, rows first), `dtype` (of NumPy: numbers are stored as this type where it holds
            them; floats may lose digits).

    Raises:
        ValueError: There is no such setting, or it has no such value.

    """
    set_storage = getattr(_manager(experiment), "set_storage", None)
    if set_storage is not None:
        set_storage(key, **settings)


def default_plot(experiment: Any, signal: str, axes: Sequence[str] = ()) -> None:
    """Say which dataset viewers show first (the default plot of NeXus), and against which.

    Args:
        experiment: The experiment (`self`), of `rexec.experiment` or of `artiq.experiment`.
        signal: Name of the dataset.
        axes: Names of the datasets that it is plotted against, one a dimension of the signal.

    """
    declare = getattr(_manager(experiment), "declare_plot", None)
    if declare is not None:
        declare(signal, [axes] if isinstance(axes, str) else list(axes))


def _manager(experiment: Any) -> Any:
    # ARTIQ's class and ours have this private attribute.
    return getattr(experiment, "_HasEnvironment__dataset_mgr", None)

"""Reads result files: the same for people and programs that go on with pandas and xarray."""

from pathlib import Path
from typing import TYPE_CHECKING

from rexec.results.errors import ResultsError
from rexec.results.stored import ResultFile, StoredDataset

if TYPE_CHECKING:
    import pandas
    import xarray

__all__ = ["Run", "StoredDataset", "open"]


class Run(ResultFile):
    """A result file, open for reading: a mapping of dataset names to values. Made by `open`."""

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the one-dimensional numeric datasets as columns; shorter ones are filled up with NaN.

        Returns:
            A frame whose `attrs` are the `units` of the columns by name, and which run it is: `rid`, `class_name`,
            `start_time`, `status`, `source` (the file).

        Raises:
            ResultsError: pandas is not installed.

        """
        try:
            import pandas
        except ImportError as error:
            raise ResultsError("pandas is not installed: pip install 'artiq-rexec[xarray]'") from error
        columns = {
            key: pandas.Series(stored[()])
            for key, stored in self.datasets.items()
            if stored.is_numeric() and len(stored.shape) == 1
        }
        frame = pandas.DataFrame(columns)
        frame.attrs = {"units": {key: self.datasets[key].unit for key in columns}, "rid": self.rid}
        identity = self.identity
        frame.attrs |= {name: identity.get(name) for name in ("class_name", "start_time")}
        frame.attrs |= {"status": self.status, "source": str(self.path)}
        return frame

    def to_xarray(self) -> "xarray.Dataset":
        """Return the numeric datasets, read lazily; the file may be closed meanwhile.

        Raises:
            ResultsError: xarray is not installed.

        """
        try:
            from rexec.results.xarray_backend import open_run
        except ImportError as error:
            raise ResultsError("xarray is not installed: pip install 'artiq-rexec[xarray]'") from error
        return open_run(self.path)


def open(path: str | Path) -> Run:  # noqa: A001,RUF100 - reads as `results.open`
    """Open a result file of this toolkit or of ARTIQ.

    Raises:
        ResultsError: It is not there, or cannot be opened.

    """
    return Run(Path(path))

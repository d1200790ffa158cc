"""The table of sites: numbers of places in source, 20 bytes for each."""

from array import array
from collections.abc import Sequence
from typing import Final, overload

Site = tuple[int, int, int, int, int]
"""File number, line from 1, UTF-8 column from 0, last line, column of its end."""

_WIDTH: Final = 5


class SiteTable(Sequence[Site]):
    """A list of sites in one array: a large database has millions of them."""

    def __init__(self, data: bytes = b"") -> None:
        self._numbers = array("i", data)

    def append(self, site: Site) -> int:
        """Add a site and return its number."""
        number = len(self._numbers) // _WIDTH
        self._numbers.extend(site)
        return number

    def __len__(self) -> int:
        return len(self._numbers) // _WIDTH

    @overload
    def __getitem__(self, index: int) -> Site: ...

    @overload
    def __getitem__(self, index: slice) -> list[Site]: ...

    def __getitem__(self, index: int | slice) -> Site | list[Site]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        start = index % len(self) * _WIDTH
        file, line, column, end_line, end_column = self._numbers[start : start + _WIDTH]
        return file, line, column, end_line, end_column

    def tobytes(self) -> bytes:
        """Return the table as bytes of this machine, for `SiteTable(data)`."""
        return self._numbers.tobytes()

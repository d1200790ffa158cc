"""Runs on the controller, of any make: puts together what came in pieces (`rexec.remote._pieces`)."""

from __future__ import annotations

import collections
from typing import Any


class Builder:
    def __init__(self) -> None:
        self.open: list[list[Any]] = [[]]

    def take(self, step: list[Any]) -> None:
        if step[0] == "items":
            self.open[-1].extend(step[1])
        elif step[0] == "open":
            self.open.append([])
        else:
            items = self.open.pop()
            self.open[-1].append(made(items, *step[1:]))

    def value(self) -> Any:
        """Return what was built.

        Raises:
            ValueError: It is not complete.

        """
        if len(self.open) != 1 or len(self.open[0]) != 1:
            raise ValueError("a value that was sent in pieces is not complete")
        return self.open[0][0]


def made(items: list[Any], kind: str, shape: Any = None, dtype: Any = None) -> Any:
    """Return a container of items; an array's are its bytes."""
    if kind == "array":
        import numpy

        # Of a bytearray: an array that may be written to.
        return numpy.frombuffer(bytearray().join(items), dtype).reshape(shape)
    if kind == "list":
        return items
    if kind in ("str", "bytes"):
        return ("" if kind == "str" else b"").join(items)
    return {"tuple": tuple, "set": set, "dict": dict, "OrderedDict": collections.OrderedDict}[kind](items)

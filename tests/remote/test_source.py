"""How the source of a remote function is read, whatever else the process parses meanwhile."""

import ast
import gc

from rexec.remote import _source


class _Parses:
    """Garbage that parses when it is collected, as a finalizer does that calls a remote function."""

    def __init__(self) -> None:
        self.cycle = self

    def __del__(self) -> None:
        try:
            ast.parse("x = 1 + (2 * (3 + 4))")
        except SystemError:  # disturbed in its turn
            return


def test_a_source_is_read_while_a_finalizer_reads_another() -> None:
    text = "def f(a):\n" + "".join(f"    x{n} = (a + {n}) * [1, {{'k': {n}}}][0]\n" for n in range(100))
    before = gc.get_threshold()
    gc.set_threshold(50)
    try:
        for _ in range(20):
            for _ in range(20):
                _Parses()
            assert len(_source._parse(text).body[0].body) == 100  # type: ignore[attr-defined]
    finally:
        gc.set_threshold(*before)

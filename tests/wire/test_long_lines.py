"""What a long line costs while it arrives: no part of it is copied with each further piece."""

import statistics
import tracemalloc

from rexec.wire._framing import FrameReader

_PIECE = 1 << 14
_PIECES = 512


def test_a_piece_of_a_line_costs_no_copy_of_what_came_before() -> None:
    reader = FrameReader(1 << 30)
    copied: list[int] = []
    tracemalloc.start()
    try:
        for _ in range(_PIECES):
            space = reader.space()
            count = min(len(space), _PIECE)
            space[:count] = b"x" * count
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            assert reader.take(count) is None
            copied.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    # Where the buffer itself grows, all is copied once; that happens ever more rarely.
    assert statistics.median(copied) < _PIECE

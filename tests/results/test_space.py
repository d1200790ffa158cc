"""Which bytes of a journal may hold others: what is free, in which pieces, and after which sync."""

import pytest

from rexec.results.journal import _space
from rexec.results.journal._space import MOST_PIECES, HeldRecord, Piece, Space

X, Y = (True, "x"), (False, "x")


def held(start: int, length: int) -> HeldRecord:
    return HeldRecord(start, ((start, length),))


def free(*pieces: Piece) -> Space:
    space = Space(10)
    for start, length in pieces:
        space.give_back(held(start, length))
    return space


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([], [(1, None)]),
        ([(100, 50)], [(20, [(100, 20)]), (30, [(120, 30)]), (1, None)]),
        ([(100, 50)], [(51, None), (50, [(100, 50)])]),
        # Neighbours are one piece, in whatever order they became free.
        ([(0, 10), (20, 10), (10, 10)], [(30, [(0, 30)]), (1, None)]),
        ([(20, 10), (10, 10), (0, 10)], [(29, [(0, 29)])]),
        ([(0, 10), (10, 10), (20, 10)], [(25, [(0, 25)])]),
        ([(0, 10), (11, 10)], [(20, [(0, 10), (11, 10)])]),
        # The largest come first.
        ([(0, 20), (100, 30)], [(45, [(100, 30), (0, 15)]), (1, None)]),
        ([(0, 20), (100, 30)], [(60, None), (50, [(100, 30), (0, 20)])]),
        # One that is too small for a record waits for its neighbour.
        ([(0, 9)], [(1, None)]),
        ([(0, 9), (9, 1)], [(10, [(0, 10)])]),
    ],
)
def test_bytes_are_free_once_as_few_large_pieces(
    pieces: list[Piece], wanted: list[tuple[int, list[Piece] | None]]
) -> None:
    space = free(*pieces)
    assert [space.take(length) for length, _ in wanted] == [found for _, found in wanted]


def test_what_is_left_of_a_piece_joins_its_neighbours_again() -> None:
    space = free((0, 20))
    assert space.take(15) == [(0, 15)]
    space.give_back(held(20, 10))
    assert space.take(15) == [(15, 15)]
    space.give_back(held(0, 15))
    space.give_back(held(15, 15))
    assert space.take(30) == [(0, 30)]


@pytest.mark.parametrize("more", [0, 1])
def test_a_value_is_in_so_many_pieces_at_most(more: int) -> None:
    space = free(*((20 * number, 10) for number in range(MOST_PIECES + 1)))
    found = space.take(10 * MOST_PIECES + more)
    assert (found is None) == bool(more)
    assert found is None or len(found) == MOST_PIECES
    assert space.take(10) is not None


def test_what_was_never_synced_is_given_back_at_once_the_rest_after_two_syncs() -> None:
    space = Space(10)
    early, late, of_other = held(0, 10), held(100, 10), held(50, 10)
    for owner, each in ((X, early), (X, late), (Y, of_other)):
        space.hold(owner, each)
    assert space.sync_begins(100) == []
    assert space.supersede(X, 200) == [late]
    assert space.supersede(X, 300) == []
    assert space.synced(199) == []
    assert space.synced(200) == [early]
    assert space.synced(200) == []
    space.wait_for_mark(early)
    assert space.sync_begins(50) == [early]
    assert space.sync_begins(300) == []
    assert space.supersede(Y, 400) == []  # it is promised still
    assert space.synced(400) == [of_other]


def test_a_promise_is_never_taken_back() -> None:
    space = Space(10)
    space.sync_begins(100)
    space.sync_begins(50)
    space.hold(X, held(60, 10))
    assert space.supersede(X, 200) == []


@pytest.mark.parametrize("pieces", [((0, 9),), ((0, 10),), ((0, 5), (7, 5)), ((0, 5), (7, 4))])
def test_small_records_are_not_tracked(pieces: tuple[Piece, ...]) -> None:
    space = Space(10)
    space.hold(X, HeldRecord(0, pieces))
    assert bool(space.supersede(X, 100)) == (sum(length for _, length in pieces) >= 10)


def test_of_too_many_records_the_small_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_space, "MOST_RECORDS", 3)
    space = Space(10)
    for _ in range(3):  # those that are superseded count no more
        kept = [held(start, 10) for start in (0, 20, 40)]
        for each in kept:
            space.hold(X, each)
        assert space.supersede(X, 100) == kept
    large, small = held(0, 40), held(50, 39)
    for owner, each in ((X, large), (X, small), (Y, held(100, 10)), (Y, held(120, 10))):
        space.hold(owner, each)
    space.hold(Y, held(200, 39))
    assert (space.supersede(X, 300), space.supersede(Y, 300)) == ([large], [])
    for start in (300, 400, 500):
        space.hold(Y, held(start, 40))
    assert len(space.supersede(Y, 600)) == 3


def test_the_bookkeeping_of_what_is_no_more_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_space, "MOST_RECORDS", 3)
    space = Space(10)
    for number in range(100):
        space.hold((True, str(number)), held(50 * number, 10))
    assert len(space._held) <= 3
    space = free((0, 20), (100, 30))
    assert space.take(50) == [(100, 30), (0, 20)]
    assert (space._free, space._ends, space._largest) == ({}, {}, [])

"""What the connections of a server, and the runs of a process, share."""

import contextlib
import linecache
from typing import Any

import pytest

from rexec.remote_exec import _dataset_db, _sources
from rexec.remote_exec._dataset_db import DatasetDBOffer, offer_dataset_db, offered_dataset_db
from rexec.remote_exec._sources import Sources
from tests.threads.interleaving import Race
from tests.threads.interrupting import interrupted_everywhere

TEXT = "first = 1\n"
SOURCES = ("rexec/remote_exec/_sources.py",)
OFFERS = ("rexec/remote_exec/_dataset_db.py",)


class Connections:
    """The sources of two connections, one of which has sent a text."""

    def __init__(self, limit: int = 100) -> None:
        self.one, self.other = Sources(limit), Sources(limit)
        self.name = self.one.add(TEXT)

    def seen(self) -> Any:
        found = self.name in linecache.cache, _sources._holders[self.name]
        self.one.drop()
        self.other.drop()
        assert self.name not in linecache.cache
        assert not +_sources._holders
        return found


SHARED_SOURCES: dict[str, tuple[Any, Any]] = {
    "sent by one, dropped by the other": (lambda c: c.other.add(TEXT), lambda c: c.one.drop()),
    "sent twice": (lambda c: c.other.add(TEXT), lambda c: c.one.add(TEXT + "#" * 95)),
}


@pytest.mark.parametrize("name", SHARED_SOURCES)
def test_a_source_is_kept_as_long_as_a_connection_has_it(name: str) -> None:
    Race(Connections, *SHARED_SOURCES[name], Connections.seen, SOURCES, [(_sources, "_lock")]).check()


class Offers:
    """Contexts of offers, of which the first is entered."""

    def __init__(self) -> None:
        self.first, self.second = offer_dataset_db(1), offer_dataset_db(2)
        self.first.__enter__()
        self.ended = contextlib.ExitStack()

    def enter(self) -> None:
        self.second.__enter__()

    def leave(self) -> None:
        self.first.__exit__(None, None, None)

    def seen(self) -> Any:
        found = list(_dataset_db._offers.values())
        _dataset_db._offers.clear()
        return found


SHARED_OFFERS: dict[str, tuple[Any, Any]] = {
    "one ends as the other begins": (Offers.leave, Offers.enter),
    "one ends as it is asked for": (Offers.leave, lambda _: offered_dataset_db()),
}


@pytest.mark.parametrize("name", SHARED_OFFERS)
def test_the_last_offer_counts(name: str) -> None:
    Race(Offers, *SHARED_OFFERS[name], Offers.seen, OFFERS).check()


def test_an_offer_that_is_interrupted_is_withdrawn() -> None:
    def use(_: Any) -> None:
        with offer_dataset_db(1):
            assert offered_dataset_db() == DatasetDBOffer(1)

    def check(_: Any, raised: bool, where: str) -> None:
        assert _dataset_db._offers == {}, where

    assert interrupted_everywhere(list, use, check, OFFERS) >= 5

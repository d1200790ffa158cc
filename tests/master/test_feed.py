"""What a run changes in any thread is what followers end up with, however fast it comes."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexec.datasets import DatasetDB
from rexec.master.feed import Feed

KEYS = st.sampled_from(["a", "b", "c"])
CHANGES = st.lists(
    st.one_of(
        st.tuples(
            st.just("set"), KEYS, st.one_of(st.just([]), st.lists(st.integers(), max_size=3), st.floats())
        ),
        st.tuples(st.just("append"), KEYS, st.integers()),
        st.tuples(st.just("mutate"), KEYS, st.integers()),
        st.tuples(st.just("delete"), KEYS, st.none()),
        st.tuples(st.just("turn"), KEYS, st.none()),
    ),
    max_size=40,
)


async def turn() -> None:
    """Let the loop show what waits."""
    for _ in range(3):
        await asyncio.sleep(0)


def change(db: DatasetDB, what: str, key: str, value: Any) -> None:
    """Change the database if the change fits it."""
    try:
        if what == "set":
            db.set(key, value)
        elif what == "append":
            db.update({"action": "append", "path": [key, 1], "x": value})
        elif what == "mutate":
            db.update({"action": "setitem", "path": [key, 1], "key": 0, "value": value})
        elif what == "delete":
            db.delete(key)
    except (KeyError, TypeError, IndexError):
        return


@given(CHANGES, st.integers(1, 12))
def test_the_notifier_ends_up_equal_to_the_database(changes: list[Any], limit: int) -> None:
    async def main() -> None:
        db = DatasetDB()
        feed = Feed(db, limit)
        for what, key, value in changes:
            change(db, what, key, value)
            if what == "turn":
                await turn()
                assert repr(feed.notifier.raw_view) == repr(
                    {k: db.get_entry(k) for k in feed.notifier.raw_view}
                )
        await turn()
        shown = feed.notifier.raw_view
        assert {key: repr(entry) for key, entry in shown.items()} == {
            key: repr(entry) for key, entry in db.snapshot().items()
        }

    asyncio.run(main())


def test_a_run_that_is_faster_than_the_loop_does_not_fill_the_memory() -> None:
    async def main() -> None:
        db = DatasetDB()
        feed = Feed(db, limit=100)
        db.set("list", [])
        for n in range(5000):
            db.update({"action": "append", "path": ["list", 1], "x": n})
        assert len(feed._waiting) <= 100
        assert feed.skipped > 4000
        await turn()
        assert feed.notifier.raw_view["list"][1] == list(range(5000))

    asyncio.run(main())


def test_a_value_that_changes_later_is_shown_as_it_was_set() -> None:
    async def main() -> None:
        db = DatasetDB()
        feed = Feed(db)
        mods: list[Any] = []
        feed.notifier.publish = mods.append
        db.set("x", [1])
        db.update({"action": "append", "path": ["x", 1], "x": 2})
        db.set("image", np.zeros(2))
        db.update({"action": "setitem", "path": ["image", 1], "key": 0, "value": 5.0})
        await turn()
        assert feed.notifier.raw_view["x"][1] == [1, 2]
        assert [(mod["action"], mod["path"]) for mod in mods] == [
            ("setitem", []),
            ("append", ["x", 1]),
            ("setitem", []),
            ("setitem", ["image", 1]),
        ]

    asyncio.run(main())


def test_what_the_file_has_and_pyon_v1_lacks_is_shown_as_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "dataset_db.mdb"
    with DatasetDB(path) as db:
        db.set("flag", np.True_, True)
        db.set("good", 1, True)

    async def main() -> None:
        with DatasetDB(path, pyon_v1=True) as db:
            feed = Feed(db, is_v1=True)
            with pytest.raises(TypeError, match="'x' can be neither shown"):
                db.set("x", np.True_)
            db.set("x", [])
            await turn()
            with pytest.raises(TypeError, match="'x' can be neither shown"):
                db.update({"action": "append", "path": ["x", 1], "x": np.True_})
            await turn()
            assert {key: entry[1] for key, entry in feed.notifier.raw_view.items()} == {
                "flag": repr(np.True_), "good": 1, "x": [],
            }  # fmt: skip

    asyncio.run(main())
    assert caplog.text.count("dataset flag is sent to subscribers as text") == 1


def test_changes_of_another_thread_arrive() -> None:
    async def main() -> None:
        db = DatasetDB()
        feed = Feed(db)
        shown = asyncio.Event()
        feed.notifier.publish = lambda mod: shown.set()
        thread = threading.Thread(target=db.set, args=("x", 1))
        thread.start()
        await asyncio.wait_for(shown.wait(), 150)
        thread.join()
        feed.close()
        db.set("x", 2)
        await turn()
        assert feed.notifier.raw_view["x"][1] == 1

    asyncio.run(main())

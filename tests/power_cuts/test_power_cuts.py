"""A sample of `python -m tests.campaigns.power_cuts`: what a loss of power may leave of what each program wrote."""

import logging
from collections.abc import Iterator

import pytest

from tests.power_cuts.cuts import cut, record
from tests.power_cuts.disk import Disk
from tests.power_cuts.recording import Op, hindrance
from tests.power_cuts.scenarios import SCENARIOS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(hindrance()), reason=hindrance()),
]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Damage is reported once a state; here it is made on purpose."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(before)


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_was_promised_survives_a_loss_of_power(name: str) -> None:
    outcome = cut(record(name), most=40)
    assert outcome.states >= 10
    assert not outcome.faults, outcome.first


def test_a_sync_that_is_left_out_is_noticed() -> None:
    program = record("whole files")
    for site in program.sites():
        outcome = cut(program, is_kept=lambda op, site=site: op.site != site, stop_at_fault=True)  # type: ignore[misc]
        assert outcome.faults, site


def test_an_index_that_sqlite_has_not_synced_is_noticed() -> None:
    program = record("index of the catalogue")
    outcome = cut(program, is_kept=lambda op: op.site != "a library", stop_at_fault=True)
    assert outcome.faults


def test_the_disk_forgets_what_was_not_synced() -> None:
    disk = Disk("/f", {"a": b"old"})
    disk.do(Op("truncate", "/f/a", size=0))
    disk.do(Op("seek", "/f/a", offset=0))
    disk.do(Op("write", "/f/a", data=b"new"))
    inode = disk.names["a"]
    assert (bytes(inode.content), inode.synced) == (b"new", b"old")
    disk.do(Op("rename", "/f/a", other="/f/b"))
    disk.do(Op("sync", "/f/b"))
    assert (inode.synced, set(disk.synced_names)) == (b"new", {"a"})
    disk.do(Op("sync", "/f"))
    assert set(disk.synced_names) == {"b"}

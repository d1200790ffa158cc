"""Who uses a device is told in words, from what a server says of a lease, valid or not."""

import time

import pytest

from rexec.devices import leases
from rexec.devices.uses import DeviceUser


def test_a_user_is_named_by_run_person_machine_and_what_holds_it_up() -> None:
    assert str(DeviceUser("run 41")) == "run 41"
    assert str(DeviceUser("run 41", "alice")) == "run 41 of alice"
    assert str(DeviceUser("run 41", "alice", "pc3", pid=7)) == "run 41 of alice@pc3"
    stopped = DeviceUser("run 41", "alice", "pc3", pid=7, is_stopped=True)
    assert str(stopped) == "run 41 of alice@pc3, whose process 7 is stopped"


def test_a_user_of_whom_nothing_is_said_shares_and_does_not_wait() -> None:
    assert DeviceUser("run 41").as_dict() == {
        "what": "run 41",
        "person": "",
        "machine": "",
        "known": "",
        "since": None,
        "is_exclusive": False,
        "pid": None,
        "is_stopped": False,
        "is_waiting": False,
    }
    assert len({DeviceUser("run 41"), DeviceUser("run 41"), DeviceUser("run 42")}) == 2


def test_the_age_of_a_lease_becomes_its_start_by_the_clock_of_this_machine() -> None:
    before = time.time()
    since = DeviceUser.of_lease({"what": "run 1", "seconds": 1e6}).since
    assert since is not None
    assert before - 1e6 <= since <= time.time() - 1e6


@pytest.mark.parametrize("seconds", [None, "3", 3, float("inf"), float("nan")])
def test_an_age_that_is_none_is_not_told(seconds: object) -> None:
    assert DeviceUser.of_lease({"seconds": seconds}).since is None


@pytest.mark.parametrize(
    ("said", "pid"), [(1, 1), (812, 812), (0, None), (-4, None), (True, None), ("812", None), (None, None)]
)
def test_only_a_number_above_zero_is_a_process(said: object, pid: int | None) -> None:
    assert DeviceUser.of_lease({"pid": said}).pid == pid


def test_texts_of_a_lease_are_cut_and_can_be_encoded() -> None:
    user = DeviceUser.of_lease({"what": "w" * 121, "person": "\ud800", "machine": 3, "known": "kernel"})
    assert user == DeviceUser("w" * 120, "?", "", "kernel")
    assert DeviceUser.of_lease({}) == DeviceUser("a process")
    flags = DeviceUser.of_lease({"exclusive": True, "stopped": True, "waiting": True})
    assert (flags.is_exclusive, flags.is_stopped, flags.is_waiting) == (True, True, True)


def test_users_in_words_name_the_first_and_count_the_others() -> None:
    first, second = (DeviceUser(f"run {number}", since=time.time() - 1000) for number in (1, 2))
    waits = DeviceUser("run 3", is_waiting=True)

    def words(*users: DeviceUser) -> str:
        said = leases.users_in_words(users)
        head, mark, tail = said.partition(", since 10")
        assert not mark or tail[:2].isdecimal()
        return head + tail[2:]

    assert words() == ""
    assert words(waits) == ""
    assert words(DeviceUser("run 1")) == "run 1"
    assert words(first) == "run 1 s"
    assert words(first, second) == "run 1 s (and 1 more)"
    assert words(waits, first) == "run 1 s; 1 more waits"
    assert words(first, second, second, waits, waits) == "run 1 s (and 2 more); 2 more wait"

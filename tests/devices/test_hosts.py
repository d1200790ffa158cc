"""Hosts are resolved with a bound, and those of this machine are known."""

import socket
import threading
import types

import psutil
import pytest

from rexec.devices import hosts
from rexec.devices.hosts import addresses, are_here, is_this_machine, own_addresses
from tests.waiting import within


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.8.9.10"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_this_machine(host)


def test_our_own_name_is_this_machine_if_it_resolves() -> None:
    name = socket.gethostname()
    assert is_this_machine(name) == bool(addresses(name))


def test_another_address_and_an_unknown_name_are_not() -> None:
    assert not is_this_machine("192.0.2.1")
    assert not is_this_machine("no-such-host.invalid")
    assert addresses("no-such-host.invalid") == frozenset()
    assert addresses("lab..local") == frozenset()


def test_one_address_of_this_machine_is_enough() -> None:
    own = frozenset({"192.0.2.7"})
    assert are_here(["198.51.100.1", "192.0.2.7"], own)
    assert are_here(["198.51.100.1", "127.0.0.2"], own)
    assert not are_here(["198.51.100.1"], own)
    assert not are_here([], own)


def test_the_addresses_of_this_machine_are_those_of_its_interfaces() -> None:
    assert "127.0.0.1" in own_addresses()
    for address in own_addresses():
        assert is_this_machine(address)


@pytest.mark.skipif("lo" not in psutil.net_if_addrs(), reason="the interface has another name")
def test_addresses_are_in_canonical_spelling_without_their_zone() -> None:
    assert addresses("FE80:0::0001%lo") == {"fe80::1"}
    assert addresses("127.0.0.1") == {"127.0.0.1"}


def test_resolving_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    quick: list[threading.Thread] = []
    looks: list[bool] = []

    def addresses_(host: str) -> frozenset[str]:
        if host == "slow":
            release.wait(150)
        else:
            quick.append(threading.current_thread())
        return frozenset({"::1"})

    def clock() -> float:
        """Have the time pass once the quick one is done, as it is in time on any machine that is not stopped."""
        looks.append(len(looks) == 0 or within(150, lambda: quick and not quick[0].is_alive()))
        return 0.0 if len(looks) == 1 else 5.0

    monkeypatch.setattr(hosts, "addresses", addresses_)
    monkeypatch.setattr(hosts, "time", types.SimpleNamespace(monotonic=clock))
    assert hosts.resolve_all(["slow", "quick"], 5.0) == {"slow": frozenset(), "quick": frozenset({"::1"})}
    assert all(looks)
    release.set()


def test_a_slow_answer_in_time_counts_and_a_look_up_does_not_keep_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daemons: list[bool] = []

    def addresses_(host: str) -> frozenset[str]:
        daemons.append(threading.current_thread().daemon)
        threading.Event().wait(0.1)
        return frozenset({"::1"})

    monkeypatch.setattr(hosts, "addresses", addresses_)
    assert hosts.resolve_all(["slow"], 150.0) == {"slow": frozenset({"::1"})}
    assert daemons == [True]

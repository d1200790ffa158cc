"""Stand-ins for local devices: what they note and answer, and how kernels run."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rexec.devices import DeviceManager
from rexec.simulate import laboratory
from rexec.simulate.local import StandIn, timeline, use_timeline
from rexec.simulate.timeline import Timeline

CORE = "artiq.coredevice."


def local(driver: str, **arguments: Any) -> dict[str, Any]:
    module, _, name = driver.rpartition(".")
    return {"type": "local", "module": CORE + module, "class": name, "arguments": arguments}


DATABASE = {
    "core": local("core.Core", host="10.0.0.2", ref_period=1e-9),
    "core_dma": local("dma.CoreDMA"),
    "core_cache": local("cache.CoreCache"),
    "ttl0": local("ttl.TTLInOut", channel=0),
    "ttl_sw0": local("ttl.TTLOut", channel=8),
    "urukul0_cpld": local("urukul.CPLD", spi_device="spi0", refclk=125e6),
    "spi0": local("spi2.SPIMaster", channel=5),
    "urukul0_ch0": local("ad9910.AD9910", cpld_device="urukul0_cpld", chip_select=4, sw_device="ttl_sw0"),
}


class adc:  # noqa: N801  # named after the device
    offset = 1.5

    def sample(self) -> list[float]:
        return [self.offset] * 8


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    before = timeline()
    yield
    use_timeline(before)


@pytest.fixture
def devices() -> Iterator[DeviceManager]:
    raw = {**DATABASE, "adc": {"type": "local", "module": "mylab.adc", "class": "Adc", "arguments": {}}}
    with laboratory(raw, {"adc": adc}) as lab, DeviceManager(lab.database) as manager:
        yield manager


def test_attributes_that_are_lists_of_devices_or_machine_units_are_known() -> None:
    entries = {
        "core": local("core.Core"),
        "suservo0": local("suservo.SUServo", cpld_devices=["cpld0", "cpld1"], dds_devices=["dds0"]),
        **{name: local("urukul.CPLD", spi_device="spi0") for name in ("cpld0", "cpld1")},
        "phaser0": local("phaser.Phaser", channel_base=0),
        "dds0": local("ad9914.AD9914", sysclk=3e9, bus_channel=1, channel=0),
    }
    with laboratory(entries) as lab:
        servo = lab.get_device("suservo0")
        assert [repr(each) for each in servo.cplds] == [repr(lab.get_device(f"cpld{n}")) for n in (0, 1)]
        assert servo.ddses == [lab.get_device("dds0")]
        assert lab.get_device("dds0").set_duration_mu == 0
        assert lab.get_device("phaser0").get_next_frame_mu() == timeline().get_time_mu()


def test_drivers_of_artiq_s_own_simulation_are_simulated_without_artiq() -> None:
    entries = {
        name: {"type": "local", "module": "artiq.sim.devices", "class": kind, "arguments": {}}
        for name, kind in {"core": "Core", "raman": "WaveOutput", "pmt": "Input"}.items()
    }
    with laboratory(entries) as lab:
        core, raman, pmt = (lab.get_device(name) for name in entries)
        before = timeline().get_time_mu()
        raman.pulse(2e6, 1e-6)
        pmt.gate_rising(2e-6)
        assert timeline().get_time_mu() - before == core.seconds_to_mu(3e-6)
        assert pmt.count(0) == 0


def test_calls_are_noted_with_the_time_on_the_timeline(
    devices: DeviceManager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    core, ttl = devices.get("core"), devices.get("ttl0")
    core.reset()
    start = timeline().get_time_mu()
    ttl.pulse(2e-6)
    ttl.on()
    assert [(each.method, each.args, each.now_mu - start) for each in ttl.simulated_calls] == [
        ("pulse", (2e-6,), 0),
        ("on", (), 2000),
    ]
    assert f"at {start + 2000} mu: on()" in caplog.text


def test_devices_in_the_arguments_are_attributes(devices: DeviceManager) -> None:
    dds = devices.get("urukul0_ch0")
    dds.sw.on()
    assert [each.method for each in devices.get("ttl_sw0").simulated_calls] == ["on"]
    assert dds.cpld is devices.get("urukul0_cpld")
    assert dds.cpld.bus is devices.get("spi0")
    assert dds.core is devices.get("core")
    assert dds.chip_select == 4
    assert dds.cpld.refclk == 125e6


def test_inputs_have_seen_nothing(devices: DeviceManager) -> None:
    ttl = devices.get("ttl0")
    end = ttl.gate_rising(1e-3)
    assert end == timeline().get_time_mu() == 1_000_000
    assert ttl.count(end) == 0
    assert ttl.timestamp_mu(end) == -1
    assert devices.get("core_cache").get("key") == []
    with devices.get("core_dma").record("pulses"):
        ttl.on()


def test_a_behaviour_says_what_a_local_device_does(devices: DeviceManager) -> None:
    device = devices.get("adc")
    assert device.sample() == [1.5] * 8
    assert device.offset == 1.5
    assert [each.method for each in device.simulated_calls] == ["sample"]


def test_the_core_runs_kernels_here_and_converts_times(devices: DeviceManager) -> None:
    core = devices.get("core")

    class Experiment:
        def kernel(self, n: int, *, extra: int) -> int:
            return n + extra

    assert core.run(Experiment.kernel, (Experiment(), 3), {"extra": 4}) == 7
    assert core.precompile(Experiment().kernel, 3, extra=1)() == 4
    assert core.seconds_to_mu(1.5e-6) == 1500
    assert core.mu_to_seconds(1500) == pytest.approx(1.5e-6)
    assert core.coarse_ref_period == 8e-9
    core.wait_until_mu(10**12)
    assert core.get_rtio_counter_mu() >= 10**12
    core.break_realtime()
    assert timeline().get_time_mu() > 10**12


def test_a_device_manager_closes_stand_ins_without_a_word(
    devices: DeviceManager, caplog: pytest.LogCaptureFixture
) -> None:
    devices.get("core"), devices.get("ttl0")
    devices.notify_run_end()
    devices.close_devices()
    assert "failed" not in caplog.text


def test_a_driver_whose_source_is_there_has_its_own_methods_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mylab"
    folder.mkdir()
    (folder / "wheel.py").write_text(
        "class Wheel:\n    def turn(self, position: int) -> float: ...\n    def home(self): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    class wheel:  # noqa: N801
        position = 3

        def home(self) -> str:
            return "home"

    raw = {"wheel": {"type": "local", "module": "mylab.wheel", "class": "Wheel"}}
    with laboratory(raw, {"wheel": wheel}) as lab:
        device = lab.get_device("wheel")
        assert device.turn(2) == 0.0
        assert device.home() == "home"
        assert device.position == 3
        with pytest.raises(TypeError, match=r"wheel\.turn\(\): missing a required argument"):
            device.turn()
        with pytest.raises(AttributeError, match="Did you mean 'turn'"):
            device.tunr(3)


def test_parallel_blocks_last_as_long_as_their_longest_statement() -> None:
    line = Timeline()
    line.take_time_mu(100)
    line.enter_parallel()
    line.take_time_mu(500)
    line.enter_sequential()
    line.take_time_mu(200)
    line.take_time(1e-6)
    assert line.get_time_mu() == 1300
    line.exit()
    assert line.get_time_mu() == 100
    line.exit()
    assert line.get_time_mu() == 1300
    line.enter_sequential()
    line.set_time_mu(50)
    line.exit()
    assert line.get_time_mu() == 50


def test_the_methods_of_drivers_of_artiq_are_known_without_artiq(devices: DeviceManager) -> None:
    ttl, dds = devices.get("ttl0"), devices.get("urukul0_ch0")
    assert dds.set(frequency=80e6, amplitude=0.5) == 0.0
    with pytest.raises(AttributeError, match=r"has no 'onn'\. Did you mean 'on'\?"):
        ttl.onn()
    with pytest.raises(
        TypeError, match=r"urukul0_ch0\.set\(\): got an unexpected keyword argument 'frequncy'"
    ):
        dds.set(frequncy=80e6)
    with pytest.raises(
        AttributeError, match=r"the value of 'ftw_per_hz' is not known\. Give it by a behaviour"
    ):
        _ = dds.ftw_per_hz


def test_calls_of_older_releases_are_taken(devices: DeviceManager) -> None:
    cpld = StandIn(devices, "cpld", "artiq.coredevice.urukul.CPLD")
    cpld.set_profile(0, 7)
    cpld.set_profile(7)
    with pytest.raises(TypeError, match="set_profile"):
        cpld.set_profile()


def test_an_experiment_finds_the_drivers_in_the_database(devices: DeviceManager) -> None:
    shown = devices.get_device_db()
    assert {name: shown[name].items() >= entry.items() for name, entry in DATABASE.items()} == dict.fromkeys(
        DATABASE, True
    )
    assert devices.get_desc("ttl0") == shown["ttl0"]


def test_a_stand_in_remembers_what_it_was_set_to() -> None:
    device = StandIn(None, "stage", "mylab.stage.Stage")
    assert device.get_position() is None
    device.set_position(3.5)
    assert device.get_position() == 3.5

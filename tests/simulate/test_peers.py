"""Clients and controllers of the reference library around a simulation and a recording; ARTIQ's own runner."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from devicedb import from_dict
from rexec.record.offers import ask
from rexec.record.recorder import Recorder
from rexec.record.recording import RecordingWriter
from rexec.simulate import laboratory, load_recording
from tests.remote_exec.peers import NO_REFERENCE, REFERENCE, reference_process

LOCAL: Final = "127.0.0.1"
ROOT: Final = Path(__file__).parents[2]
ARTIQ_PYTHON: Final = Path(os.environ.get("ARTIQ_PYTHON", ""))

pythons = pytest.mark.parametrize(
    "python", REFERENCE or [pytest.param("", marks=pytest.mark.skip(reason=NO_REFERENCE))]
)

CONTROLLER: Final = """
import sys, numpy as np
from sipyco.remote_exec import simple_rexec_server_loop
class Camera:
    "A camera."
    def __init__(self): self.frames = 0; self.exposure = 0.1
    def get_frame(self, gain=1):
        "Return a frame."
        self.frames += 1
        return np.full((100, 200), self.frames * gain, np.uint16)
    def set_exposure(self, seconds):
        if seconds > 10: raise ValueError("too long")
        self.exposure = seconds
    def settings(self): return {"exposure": self.exposure, "size": (200, 100), 3: {1.5, 2.5}}
    def ping(self): return True
simple_rexec_server_loop("camera", Camera(), "127.0.0.1", int(sys.argv[1]), "a stock controller")
"""

SESSION: Final = """
import json, sys, asyncio
from sipyco.pc_rpc import Client, AsyncioClient, BestEffortClient
port = int(sys.argv[1])
client = Client("127.0.0.1", port, "camera")
said = [client.get_rpc_id()[0], [int(client.get_frame().sum()) for _ in range(3)], int(client.get_frame(gain=2)[0, 0])]
said.append(str(client.get_frame().dtype))
client.set_exposure(0.5)
try:
    client.set_exposure(20)
except ValueError as error:
    said.append(str(error))
settings = client.settings()
said += [settings["exposure"], list(settings["size"]), sorted(settings[3]), client.ping()]
said.append(client.get_rpc_method_list()["methods"]["get_frame"][0]["args"])
client.close_rpc()
remote = Client("127.0.0.1", port, "camera_rexec")
remote.add_code("def total(n): return int(controller_driver.get_frame(gain=n).sum())")
said.append(remote.call("total", 2))
remote.close_rpc()
best = BestEffortClient("127.0.0.1", port, "camera")
said.append(best.ping())
best.close_rpc()
async def ask():
    client = AsyncioClient()
    await client.connect_rpc("127.0.0.1", port, "camera")
    answer = await client.ping()
    await client.close_rpc()
    return answer
said.append(asyncio.run(ask()))
print(json.dumps(said))
"""


def session(python: str, port: int) -> Any:
    done = subprocess.run(
        [python, "-c", SESSION, str(port)], stdout=subprocess.PIPE, text=True, timeout=150.0, check=True
    )
    return json.loads(done.stdout)


def database(port: int) -> Any:
    return from_dict(
        {
            "camera": {"type": "controller", "host": LOCAL, "port": port, "target_name": "camera"},
            "rexec": {"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec"},
        },
        "device_db.py",
    )


@pythons
def test_a_stock_session_is_recorded_and_replayed_to_a_stock_client(python: str, tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    with reference_process(python, CONTROLLER) as port:
        real = database(port)
        with Recorder([ask(real, "camera")], RecordingWriter(path), LOCAL, {}) as recorder:
            heard = session(python, recorder.addresses["camera"][1])
    with laboratory(real, recordings=[path]) as lab:
        replayed = session(python, lab.database.endpoint("camera").port)
    # Code runs on the replayed driver, which answers get_frame(gain=2) as it did last: with frame 4 of then.
    assert heard[-3] == 100 * 200 * 2 * 6
    assert replayed[-3] == 100 * 200 * 2 * 4
    del heard[-3], replayed[-3]
    assert replayed == heard
    calls = load_recording(path).calls["camera", "camera"]
    assert {each["encoding"] for each in calls} <= {"v1", "v2"}
    frames = [each["ret"] for each in calls if each["name"] == "get_frame"]
    assert all(frame.nbytes == 40_000 for frame in frames)
    assert path.stat().st_size < 40_000 * len(frames) + 20_000


@pythons
def test_a_stock_client_meets_a_simulated_controller(python: str) -> None:
    import numpy as np

    class camera:  # noqa: N801  # named after the device
        """A camera."""

        def __init__(self) -> None:
            self.frames = 0
            self.exposure = 0.1

        def get_frame(self, gain: int = 1) -> Any:
            """Return a frame."""
            self.frames += 1
            return np.full((100, 200), self.frames * gain, np.uint16)

        def set_exposure(self, seconds: float) -> None:
            if seconds > 10:
                raise ValueError("too long")
            self.exposure = seconds

        def settings(self) -> dict[Any, Any]:
            return {"exposure": self.exposure, "size": (200, 100), 3: {1.5, 2.5}}

    with laboratory(database(3000), {"camera": camera}) as lab:
        said = session(python, lab.database.endpoint("camera").port)
    with reference_process(python, CONTROLLER) as port:
        assert said == session(python, port)


EXPERIMENT: Final = '''
from artiq.experiment import *

class Measure(EnvExperiment):
    """Kernels, a controller and remote code, without any hardware."""

    def build(self):
        for name in ("core", "led", "dds", "camera", "rexec"):
            self.setattr_device(name)

    @kernel
    def blink(self, n):
        self.core.break_realtime()
        start = now_mu()
        for _ in range(n):
            with parallel:
                self.led.pulse(2*us)
                delay(5*us)
            with sequential:
                self.dds.sw.on()
        return now_mu() - start

    def run(self):
        self.core.reset()
        self.rexec.add_code("def total(n): return sum(controller_driver.frame(n))")
        said = [self.blink(3), self.camera.frame(2), self.rexec.call("total", 3), self.core.seconds_to_mu(1*ms)]
        said.append([each.method for each in self.dds.sw.simulated_calls])
        print("SAID", said)
        self.set_dataset("blink", said[0])
'''
CORE: Final = {
    "core": ("core.Core", {"host": "192.0.2.2", "ref_period": 1e-9}),
    "led": ("ttl.TTLOut", {"channel": 0}),
    "sw": ("ttl.TTLOut", {"channel": 1}),
    "cpld": ("urukul.CPLD", {"spi_device": "spi"}),
    "spi": ("spi2.SPIMaster", {"channel": 2}),
    "dds": ("ad9910.AD9910", {"chip_select": 4, "cpld_device": "cpld", "sw_device": "sw"}),
}


@pytest.mark.skipif(not ARTIQ_PYTHON.is_file(), reason="ARTIQ_PYTHON names no interpreter that has ARTIQ")
@pytest.mark.parametrize("program", ["artiq.frontend.artiq_run", "rexec run"])
def test_an_artiq_experiment_runs_on_a_written_database_of_a_simulation(program: str, tmp_path: Path) -> None:
    class camera:  # noqa: N801  # named after the device
        def frame(self, n: int) -> list[int]:
            return list(range(n))

    raw: dict[str, Any] = {
        name: {
            "type": "local",
            "module": f"artiq.coredevice.{driver.partition('.')[0]}",
            "class": driver.partition(".")[2],
            "arguments": arguments,
        }
        for name, (driver, arguments) in CORE.items()
    }
    (tmp_path / "experiment.py").write_text(EXPERIMENT)
    with laboratory({**database(3000).raw, **raw}, {"camera": camera}) as lab:
        path = lab.write(tmp_path / "simulated.py")
        words = ["-m", *program.split()]
        done = subprocess.run(
            [str(ARTIQ_PYTHON), *words, "--device-db", str(path), "experiment.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=150.0,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    assert "SAID [15000, [0, 1], 3, 1000000, ['on', 'on', 'on']]" in done.stdout
    assert ("SIMULATED" in done.stdout) == (program == "rexec run")

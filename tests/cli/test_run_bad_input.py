"""Bad input to `rexec run` is one clear line with the right exit status: nothing lost, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import Lab, Result
from tests.serving import free_port, serving, silent

NOTHING = "def run(self):\n    pass\n"


class Camera:
    def ping(self) -> bool:
        return True


def controller(port: int, **further: object) -> dict[str, object]:
    command = "aqctl_camera -p {port}"
    return {
        "type": "controller",
        "host": "127.0.0.1",
        "port": port,
        "target_name": "camera",
        "command": command,
        **further,
    }


def test_no_device_database(lab: Lab) -> None:
    (lab.folder / "device_db.py").unlink()
    lab.experiment(NOTHING, "sub/experiment.py")
    result = lab.run("sub/experiment.py")
    assert result.status == 2
    result.one_line(str(lab.folder / "device_db.py"), str(lab.folder / "sub" / "device_db.py"), "--device-db")
    lab.run("sub/experiment.py", "--device-db", "absent.py").one_line("absent.py", "no such file")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("device_db = {\n", "device_db.py:1: syntax error"),
        ("import absent_module\ndevice_db = {}\n", "device_db.py:1: imports 'absent_module'"),
        ("device_db = {}\nx = 1 / 0\n", "device_db.py:2: raises ZeroDivisionError"),
        ("devices = {}\n", "defines no global dict"),
        ("device_db = []\n", "must be a dict"),
    ],
)
def test_broken_device_database(lab: Lab, text: str, said: str) -> None:
    lab.write("device_db.py", text)
    lab.experiment(NOTHING)
    result = lab.run("experiment.py")
    assert result.status == 2
    result.one_line(said)


def test_unknown_device_is_answered_with_the_nearest_and_the_line(lab: Lab) -> None:
    lab.devices({"camera": controller(1)})
    lab.experiment('def build(self):\n    self.setattr_device("camrea")\n')
    result = lab.run("experiment.py")
    assert result.status == 2
    result.one_line("experiment.py:5", "'camrea' is not in", "Did you mean 'camera'?")
    assert lab.results() == []


def test_alias_loop_and_bad_entry(lab: Lab) -> None:
    lab.devices({"a": "b", "b": "a", "odd": {"type": "controler"}})
    lab.experiment('def build(self):\n    self.setattr_argument("d")\n    self.get_device(self.d)\n')
    lab.run("experiment.py", "d='\"a\"'").one_line("a -> b -> a")
    lab.run("experiment.py", "d='\"odd\"'").one_line("unknown type 'controler'")


def test_refused_controller(lab: Lab) -> None:
    port = free_port()
    lab.devices({"camera": controller(port), "eye": "camera"})
    lab.experiment('def prepare(self):\n    self.set_dataset("kept", 1)\n    self.get_device("eye")\n')
    result = lab.run("experiment.py")
    assert result.status == 1
    result.one_line(
        "device 'eye' (entry 'camera')",
        f"127.0.0.1:{port}",
        "target 'camera'",
        "refused",
        f"aqctl_camera -p {port}",
    )
    assert lab.datasets() == {"kept": 1}


def test_silent_controller(lab: Lab) -> None:
    with silent() as port:
        lab.devices({"camera": controller(port)})
        lab.experiment('def build(self):\n    self.get_device("camera")\n')
        result = lab.run("experiment.py", "--connect-timeout", "0.5")
    assert result.status == 2
    result.one_line(
        "device 'camera'",
        f"127.0.0.1:{port}",
        "target 'camera'",
        "no answer",
        "running, but hung or in a call",
    )
    assert "Start it" not in result.err


def test_wrong_target(lab: Lab) -> None:
    with serving({"camera_x": Camera(), "camera_x_rexec": Camera()}) as port:
        lab.devices({"camera": controller(port)})
        lab.experiment('def build(self):\n    self.get_device("camera")\n')
        result = lab.run("experiment.py")
    assert result.status == 2
    result.one_line("target 'camera'", "it has 'camera_x', 'camera_x_rexec'", "Did you mean 'camera_x'?")


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (None, (), "no such experiment file"),
        ("x = (\n", (), "experiment.py:1: syntax error"),
        (
            "import absent_module\n",
            (),
            "No module named 'absent_module'. Install the package that has 'absent_module', or put its folder",
        ),
        (
            "raise ModuleNotFoundError('as it says itself', name='artiq')\n",
            (),
            "as it says itself. ARTIQ is not installed here: import from rexec.experiment",
        ),
        ("import sys\n\nsys.exit(3)\n", (), "experiment.py:3: it calls sys.exit(3)"),
        ("import os\n", (), "has no experiment"),
        (
            "from rexec.experiment import *\nclass A(EnvExperiment): pass\nclass B(EnvExperiment): pass\n",
            (),
            "A, B",
        ),
        (
            "from rexec.experiment import *\nclass Measure(EnvExperiment): pass\n",
            ("-c", "Meassure"),
            "Did you mean 'Measure'?",
        ),
    ],
)
def test_file_without_a_usable_experiment(
    lab: Lab, text: str | None, arguments: tuple[str, ...], said: str
) -> None:
    if text is not None:
        lab.write("experiment.py", text)
    result = lab.run("experiment.py", *arguments)
    assert result.status == 2
    result.one_line(said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("number=word",), "'word' is not a number. It takes a number, for example number="),
        (("number",), "not of the form KEY=VALUE"),
        (("number=[",), "is not a number"),
        (("number=1", "nmber=2"), "has no argument 'nmber': it has number. Did you mean 'number'?"),
        ((), "argument 'number': it is needed"),
    ],
)
def test_wrong_argument(lab: Lab, arguments: tuple[str, ...], said: str) -> None:
    lab.experiment('def build(self):\n    self.setattr_argument("number", NumberValue(min=0))\n')
    result = lab.run("experiment.py", *arguments)
    assert result.status == 2
    result.one_line(said)


@pytest.mark.skipif(os.name == "nt", reason="permissions are of POSIX")
def test_results_folder_that_cannot_be_written(lab: Lab) -> None:
    # A file in the place of the folder: that stops root too.
    lab.write("results", "")
    lab.experiment('def run(self):\n    print("it ran")\n')
    result = lab.run("experiment.py")
    assert result.status == 2
    result.one_line("results")
    assert "it ran" not in result.out
    result = lab.run("experiment.py", "-o", "results/file.h5")
    assert result.status == 2
    result.one_line(f"{lab.folder / 'results'} is no folder")


def test_result_file_that_exists_is_not_replaced_unasked(lab: Lab) -> None:
    lab.experiment('def run(self):\n    self.set_dataset("a", 1)\n')
    assert lab.run("experiment.py", "-o", "x.h5").status == 0
    before = (lab.folder / "x.h5").read_bytes()
    result = lab.run("experiment.py", "-o", "x.h5")
    assert result.status == 2
    result.one_line("x.h5 exists already")
    assert (lab.folder / "x.h5").read_bytes() == before
    assert lab.run("experiment.py", "-o", "x.h5", "--overwrite").status == 0


@pytest.mark.parametrize("name", ["schemas", "devicedb", "rexec"])
@pytest.mark.parametrize("folder", [".", "sub"])
def test_experiment_folder_with_a_module_of_our_name(lab: Lab, name: str, folder: str) -> None:
    lab.write(f"{folder}/{name}.py", "raise SystemExit('the wrong one')\n")
    lab.experiment(NOTHING, f"{folder}/experiment.py")
    result = lab.run(f"{folder}/experiment.py")
    assert result.status == 2
    result.one_line(f"{name}.py hides a package of this program")


@pytest.mark.parametrize("name", ["schemas", "devicedb"])
def test_our_packages_shadowed_by_the_current_folder(lab: Lab, name: str) -> None:
    lab.write(f"{name}.py", "raise SystemExit('the wrong one')\n")
    done = subprocess.run(
        [sys.executable, "-m", "rexec", "run", "x.py"],
        cwd=lab.folder,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 2
    Result(2, done.stdout, done.stderr).one_line(f"{name}.py hides a package of this program")


def test_port_in_use_by_something_else_with_up(lab: Lab) -> None:
    with silent() as port:
        lab.devices({"camera": controller(port)})
        lab.experiment('def build(self):\n    self.get_device("camera")\n')
        result = lab.run("experiment.py", "--up", "--connect-timeout", "0.5")
    assert result.status == 2
    result.one_line("no answer")


def test_controller_that_ends_at_once_with_up_shows_why(lab: Lab) -> None:
    lab.write("controller.py", "import sys\nprint('no camera on the bus')\nsys.exit(4)\n")
    port = free_port()
    lab.devices({"camera": controller(port, command="python controller.py {port}")})
    lab.experiment('def build(self):\n    self.get_device("camera")\n')
    result = lab.run("experiment.py", "--up")
    assert result.status == 2
    assert "Traceback" not in result.err
    first, command, said, last = result.err.strip().splitlines()
    assert (
        f"controller 'camera' ended with exit status 4 before it answered at 127.0.0.1:{port}: no camera"
        in first
    )
    assert command == f"  command: python controller.py {port}"
    assert (said, last) == ("  its last lines:", "    no camera on the bus")


def test_no_master_there(lab: Lab, tmp_path: Path) -> None:
    port = free_port()
    lab.experiment(NOTHING)
    result = lab.run("experiment.py", "--master", "127.0.0.1", "--master-port", str(port))
    assert result.status == 2
    result.one_line(f"127.0.0.1:{port}", "Is artiq_master running there?")

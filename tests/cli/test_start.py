"""What a command loads before it works: counted in modules, because the time of a start is the time of its imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.serving import serving

HEAVY = ("asyncio", "h5py", "lmdb", "matplotlib", "numpy", "pydantic", "rich", "schemas", "uvloop")
SCRIPT = """
import importlib, io, json, sys
from contextlib import redirect_stdout
HEAVY, stages, found = {HEAVY}, {STAGES}, []
for stage in stages:
    with redirect_stdout(io.StringIO()) as out:
        exec(stage)
    found.append((out.getvalue(), len(sys.modules), [name for name in HEAVY if name in sys.modules]))
print(json.dumps(found))
"""


def loaded(*stages: str) -> list[tuple[str, int, set[str]]]:
    """Run stages of Python one after the other in one process; return output, modules, and heavy ones after each."""
    script = SCRIPT.replace("{HEAVY}", repr(HEAVY)).replace("{STAGES}", repr(stages))
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [(out, count, set(heavy)) for out, count, heavy in json.loads(done.stdout)]


class Camera:
    """A camera."""

    def ping(self) -> bool:
        """Answer."""
        return True


def test_a_call_loads_what_a_call_needs(tmp_path: Path) -> None:
    with serving({"camera": Camera()}) as port:
        entry = {"type": "controller", "host": "127.0.0.1", "port": port, "target_name": "camera"}
        aux = {"type": "controller_aux_target", "controller": "camera", "target_name": "camera"}
        database = tmp_path / "device_db.py"
        database.write_text(f"device_db = { ({'camera': entry, 'twin': aux, 'alias': 'twin'})!r}\n")
        parsers = "; ".join(
            f"importlib.import_module('rexec.cli.{name}').get_argparser().format_help()"
            for name in ("call", "methods", "targets")
        )
        found = loaded(
            "from rexec.cli import main, get_argparser; get_argparser().format_help()",
            parsers,
            f"main(['call', '127.0.0.1', '{port}', 'ping'])",
            f"main(['call', 'alias', 'ping', '--device-db', {str(database)!r}])",
        )
    (_, start, none), (_, parsed, still_none), (here, called, heavy), (there, named, also) = found
    assert none == still_none == set()
    assert start < 150
    assert parsed < 170
    assert here == there == "True\n"
    assert heavy == also == {"numpy"}  # arrays travel on the wire
    assert called < 330
    # From Python 3.12 on, `importlib.invalidate_caches` imports importlib.metadata, and that email and zipfile.
    assert named < (330 if sys.version_info < (3, 12) else 350)


def test_a_check_of_a_device_database_starts_without_models(tmp_path: Path) -> None:
    database = tmp_path / "device_db.py"
    database.write_text('device_db = {"camera": {"type": "controller", "host": "::1", "port": 3290}}\n')
    found = loaded(f"from devicedb.cli import main; main(['check', '--no-config', {str(database)!r}])")
    assert found[0][2] == set()
    assert found[0][1] < 260


def test_a_run_without_devices_loads_no_models_and_no_remote_execution(tmp_path: Path) -> None:
    experiment = tmp_path / "empty.py"
    experiment.write_text(
        "from rexec.experiment import EnvExperiment\n\n"
        "class Empty(EnvExperiment):\n    def build(self):\n        pass\n\n    def run(self):\n        pass\n"
    )
    (tmp_path / "device_db.py").write_text("device_db = {}\n")
    words = ["run", str(experiment), "-q", "--device-db", str(tmp_path / "device_db.py")]
    found = loaded(
        f"from rexec.cli import main; assert main({words!r}) == 0",
        "print(*sorted({'rexec.catalogue', 'rexec.remote', 'rexec.results.reading', 'rexec.simulate.process', "
        "'rexec.supervise', 'multiprocessing', 'sqlite3'} & set(sys.modules)))",
    )
    assert found[0][2] == {"asyncio", "h5py", "lmdb", "numpy", "rich", "schemas"}
    assert found[1][0] == "\n"
    assert found[0][1] < (650 if os.name == "posix" else 670)  # Windows has modules of its own

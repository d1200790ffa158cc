"""What is written down of a run before its data: who ran what, with which arguments and devices."""

import hashlib
import platform
import socket
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from devicedb import DeviceDatabase
from rexec._version import __version__
from rexec.experiment.argument_manager import ArgumentManager
from rexec.experiment.git import git_state
from rexec.wire import pyon
from schemas.run import RunIdentity

_FOREIGN: Final = frozenset({"site-packages", "dist-packages"})
_LIBRARIES: Final = ("numpy", "h5py", "lmdb", "artiq")


def expid(
    file: Path, class_name: str, arguments: ArgumentManager, given: Mapping[str, Any], log_level: int
) -> dict[str, Any]:
    """Return ARTIQ's description of a run; arguments hold the defaults that were used, which ARTIQ leaves out."""
    used = {key: _as_given(each.value) for key, each in arguments.used.items()}
    return {
        "file": str(file),
        "class_name": class_name,
        "arguments": {**given, **used},
        "log_level": log_level,
        "repo_rev": "N/A",
        "devarg_override": "",
    }


def _as_given(value: Any) -> Any:
    """Return the value of an argument in the form that gives it: a scan, ours or ARTIQ's, as its description."""
    describe = getattr(value, "describe", None)
    described = describe() if callable(describe) else None
    return described if isinstance(described, dict) and "ty" in described else value


def identity(
    rid: int, experiment: dict[str, Any], given: Mapping[str, Any], database: DeviceDatabase, start_time: float,
    file: Path, command: tuple[str, ...],
) -> RunIdentity:  # fmt: skip
    """Return the identity of a run that was just built.

    Args:
        rid: Its number.
        experiment: Its expid.
        given: The arguments that the user gave.
        database: Its devices.
        start_time: When it was built, seconds since the epoch.
        file: The experiment's file.
        command: The command line.

    """
    snapshot = encodable(database.raw)
    return RunIdentity(
        rid=rid,
        class_name=experiment["class_name"],
        file=str(file.absolute()),
        start_time=start_time,
        artiq_version=artiq_version(),
        expid=encodable(experiment),
        user_arguments=encodable(dict(given)),
        device_db=snapshot,
        device_db_origin=database.origin,
        device_db_sha256=hashlib.sha256(pyon.encode(snapshot).encode()).hexdigest(),
        simulated=database.simulated(),
        versions=versions(),
        sources=local_sources(file),
        git=git_state(file),
        host=socket.gethostname(),
        command=list(command),
    )


def local_sources(file: Path) -> dict[str, str]:
    """Return the source of an experiment's file, and of the modules of its folder that are imported, by SHA-256."""
    folder = file.absolute().parent
    files = {file.absolute()}
    for module in list(sys.modules.values()):
        found = getattr(module, "__file__", None)
        if isinstance(found, str) and found.endswith(".py"):
            path = Path(found)
            if path.is_relative_to(folder) and not _FOREIGN.intersection(path.parts):
                files.add(path)
    texts = {}
    for path in sorted(files):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:  # taken away since it was imported
            continue
        texts[sha256(text)] = text
    return texts


def sha256(text: str) -> str:
    """Return the SHA-256 of a text, by which it is kept."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def artiq_version() -> str:
    """Return ARTIQ's version if the experiment has loaded it, else this toolkit's with its name."""
    loaded = sys.modules.get("artiq")
    found = getattr(loaded, "__version__", None)
    return str(found) if found else f"artiq-rexec {__version__}"


def versions() -> dict[str, str]:
    """Return the versions of Python, this toolkit and the libraries that matter to results."""
    found = {"python": platform.python_version(), "artiq-rexec": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def encodable(value: Any) -> Any:
    """Return `value` with every part that PYON cannot encode in the form of its `repr`."""
    try:
        pyon.encode(value)
    except (TypeError, ValueError):
        pass
    else:
        return value
    if isinstance(value, dict):
        return {str(key): encodable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [encodable(part) for part in value]
    return repr(value)

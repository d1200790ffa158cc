"""The identity of a run, written before its data: who ran what, with which arguments and devices."""

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from devicedb import DeviceDatabase
from rexec._version import __version__
from rexec.access.identity import own_identity
from rexec.experiment.argument_manager import ArgumentManager
from rexec.experiment.git import git_state
from rexec.wire import pyon
from schemas.run import RunIdentity

_FOREIGN: Final = frozenset({"site-packages", "dist-packages"})
_LIBRARIES: Final = ("numpy", "h5py", "lmdb", "artiq")


def expid(
    file: Path, class_name: str, arguments: ArgumentManager, given: Mapping[str, Any], log_level: int
) -> dict[str, Any]:
    """Return ARTIQ's description of a run, its arguments in the form in which a dashboard sends them.

    They include the defaults that were used, so that a dashboard can take all arguments from the result file.
    """
    used = {key: each.given for key, each in arguments.used.items()}
    return {
        "file": str(file),
        "class_name": class_name,
        "arguments": {**given, **used},
        "log_level": log_level,
        "repo_rev": "N/A",
        "devarg_override": {},
    }


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
    who = own_identity()
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
        host=who.host,
        person=who.name or None,
        person_known_by=who.known_by,
        machine=who.host,
        program=who.program,
        command=list(command),
    )


def local_sources(file: Path) -> dict[str, str]:
    """Return the source of an experiment's file, and of the modules of its folder that are imported, by SHA-256."""
    folder = os.path.normcase(os.path.join(file.absolute().parent, ""))
    files = {file.absolute()}
    for module in list(sys.modules.values()):
        found = getattr(module, "__file__", None)
        # Text first: a program has thousands of modules, and a path costs 50 times as much.
        if isinstance(found, str) and found.endswith(".py") and os.path.normcase(found).startswith(folder):
            path = Path(found)
            if not _FOREIGN.intersection(path.parts):
                files.add(path)
    texts = {}
    for path in sorted(files):
        try:
            text = path.read_text("utf-8", "replace")
        except OSError:  # removed since it was imported
            continue
        texts[sha256(text)] = text
    return texts


def sha256(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def artiq_version() -> str:
    """Return ARTIQ's version if the experiment has loaded it, else this toolkit's with its name."""
    loaded = sys.modules.get("artiq")
    found = getattr(loaded, "__version__", None)
    return str(found) if found else f"artiq-rexec {__version__}"


def versions() -> dict[str, str]:
    """Return the versions of Python, this toolkit and the loaded libraries that matter to results."""
    found = {"python": platform.python_version(), "artiq-rexec": __version__}
    for name in _LIBRARIES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(version, str):
            found[name] = version
    return found


def encodable(value: Any) -> Any:
    """Return `value` with the `repr` of every part that PYON cannot encode."""
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

"""Examples as documents show them: with ports of the system's choice, and as if no machine were slow."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.serving import free_port

EXAMPLES: Final = Path(__file__).resolve().parents[1] / "examples"
PRINTED: Final = (
    "3290", "3291", "3292", "3293", "3294", "6280", "6290", "3250", "3251", "1066", "1067",
)  # fmt: skip
_STATUS: Final = re.compile(r"^.*rexec run:.* run [0-9].* · [0-9]+ s · .*\n", re.MULTILINE)
_WORD: Final = re.compile(rf"\b({'|'.join(PRINTED)})\b")


def free_ports() -> dict[str, str]:
    """Return a free port for each printed one."""
    return {printed: str(free_port("::1")) for printed in PRINTED}


def substituted(text: str, ports: Mapping[str, str]) -> str:
    """Return a text with other ports in it."""
    return _WORD.sub(lambda found: ports.get(found[0], found[0]), text)


def without_status(text: str) -> str:
    """Return what `rexec run` printed, without the lines about a run that has gone on for 30 s."""
    return _STATUS.sub("", text)


def copy_examples(folder: Path, ports: Mapping[str, str]) -> Path:
    """Copy the examples into a folder, with other ports; return the copy."""
    copy = folder / "examples"
    hand_made = ("results", "__pycache__", "*.mdb*", "*last_rid.pyon*")
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns(*hand_made))
    for path in copy.rglob("*.py"):
        path.write_text(substituted(path.read_text(encoding="utf-8"), ports), encoding="utf-8")
    return copy

"""The table of docs/reference/errors.md: each row brought about, on ours and on the reference library."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from rexec.wire import certs
from tests.remote_exec.peers import NO_REFERENCE, REFERENCE

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = Path(__file__).with_name("catching.py")
_CLIENTS: Final = ("Client", "AsyncioClient", "Subscriber", "Receiver")
_KEY: Final = ("own", "other", "server", "server", "own")
_PIN: Final = ("own", "own", "other", "server", "own")
_STRANGER: Final = ("other", "other", "server", "server", "own")
SITUATIONS: Final[dict[str, tuple[str, ...]]] = {
    **{f"nobody listens: {kind}": ("refused", kind) for kind in _CLIENTS},
    **{f"the host's name is unknown: {kind}": ("unknown_host", kind) for kind in _CLIENTS},
    **{f"the server ends during a call: {kind}": ("ends_during_a_call", kind) for kind in _CLIENTS[:2]},
    **{f"the server closes during the handshake: {kind}": ("closes_at_once", kind) for kind in _CLIENTS[:2]},
    **{
        f"`AutoTarget`, and the server has several: {kind}": ("several_targets", kind)
        for kind in _CLIENTS[:2]
    },
    "a silent server, `timeout` given: handshake": ("silent_server",),
    "a silent server, `timeout` given: call": ("silent_during_a_call",),
    **{f"our key is another certificate's: {kind}": ("tls", kind, *_KEY) for kind in _CLIENTS[:3]},
    **{
        f"the server's certificate is not the pinned one: {kind}": ("tls", kind, *_PIN)
        for kind in ("Client", "AsyncioClient", "Receiver")
    },
    **{
        f"our certificate is not known to the server: {kind}": ("tls", kind, *_STRANGER)
        for kind in _CLIENTS[:2]
    },
    "text that is no PYON: `pyon.decode`": ("no_pyon", "{"),
}
_ROW: Final = re.compile(
    r"^\| (?P<situation>[^|]+?) \| (?P<caught>`[A-Za-z.]+`( or `[A-Za-z.]+`)?) \| [^|]*\|$", re.MULTILINE
)
TABLE: Final = {
    row["situation"]: row["caught"].replace("`", "").split(" or ")
    for row in _ROW.finditer(
        (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8").split("\n## ")[1]
    )
}
LIBRARIES: Final = {
    "ours": [sys.executable, "-m", "rexec.sipyco"],
    **{f"reference-{number}": [python] for number, python in enumerate(REFERENCE)},
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("own", "other", "server"):
        certs.make_pair(folder, name)
    return folder


def test_every_row_of_the_table_is_tested() -> None:
    assert list(SITUATIONS) == list(TABLE)


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize(
    "library",
    [*LIBRARIES, *([] if REFERENCE else [pytest.param("none", marks=pytest.mark.skip(NO_REFERENCE))])],
)
def test_the_same_except_clause_is_reached(library: str, situation: str, keys: Path) -> None:
    name, *arguments = SITUATIONS[situation]
    if name == "tls":
        arguments = [arguments[0], *(str(keys / each) for each in arguments[1:])]
    done = subprocess.run(
        [*LIBRARIES[library], str(PROGRAM), name, *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)} if library == "ours" else None,
    )
    assert done.stdout.strip() in TABLE[situation], done.stderr

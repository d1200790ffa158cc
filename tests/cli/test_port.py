"""`rexec port`: imports of the reference library become ours, and nothing else changes."""

import ast
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rexec.cli.main import main
from rexec.sipyco.__main__ import _first_on_path
from rexec.sipyco.rewriting import rewrite

BEFORE = '''"""Naïve — a controller."""  # sipyco.pc_rpc
import sipyco.pc_rpc, os
import sipyco.pyon as p
from  sipyco . pc_rpc  import (  # keep
    Client,   Server,
)
from sipyco.common_args import simple_network_args as sna
from sipyco import pyon, sync_struct
from sipyco import pyon, common_args as sca, tools
def f():
    é = "é"; from sipyco.tools import SimpleSSLConfig; return é
    x = 1; from sipyco import tools; return sipyco.pc_rpc.Client("é", sipyco.pyon)
from .sipyco import nothing
text = "from sipyco.pc_rpc import Client"
'''
AFTER = '''"""Naïve — a controller."""  # sipyco.pc_rpc
import rexec.wire.pc_rpc, os
import rexec.wire.pyon as p
from  rexec.wire.pc_rpc  import (  # keep
    Client,   Server,
)
from rexec.common_args import simple_network_args as sna
from rexec.wire import pyon, sync_struct
from rexec.wire import pyon
from rexec import common_args as sca
from rexec import asyncio_tools as tools
def f():
    é = "é"; from rexec.asyncio_tools import SimpleSSLConfig; return é
    x = 1; from rexec import asyncio_tools as tools; return rexec.wire.pc_rpc.Client("é", rexec.wire.pyon)
from .sipyco import nothing
text = "from sipyco.pc_rpc import Client"
'''
LACKING = """\
from sipyco.pipe_ipc import ChildComm
from sipyco.logs import SourceFilter, LogForwarder
from sipyco import fire_and_forget
import sipyco
name = "sipyco.pc_rpc"
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_only_imports_change(end: str) -> None:
    result = rewrite(BEFORE.replace("\n", end))
    assert result.text == AFTER.replace("\n", end)
    assert result.remarks == []
    ast.parse(result.text)
    assert rewrite(result.text).changes == 0


def test_what_has_no_counterpart_is_named_and_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.py"
    file.write_text(LACKING)
    assert main(["port", "--write", str(file)]) == 1
    assert file.read_text() == LACKING
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{file}:{number}" for number in range(1, 6)]
    assert "multiprocessing.Pipe" in lines[0]
    assert "rexec up" in lines[1]


def test_a_file_is_shown_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "latin.py"
    data = "# coding: latin-1\r\nfrom sipyco.pc_rpc import Client  # \xe9\r\n"
    file.write_bytes(data.encode("latin-1"))
    assert main(["port", str(file)]) == 0
    assert "+from rexec.wire.pc_rpc import Client  # é" in capsys.readouterr().out
    assert file.read_bytes() == data.encode("latin-1")
    assert main(["port", "--write", str(file)]) == 0
    assert file.read_bytes() == data.replace("sipyco.", "rexec.wire.").encode("latin-1")


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "old.py"
    file.write_text("x = 1\nprint 'x'\n")
    assert main(["port", str(file)]) == 2
    assert f"{file}:2: this is no Python 3" in capsys.readouterr().err
    assert main(["port", str(tmp_path / "none.py")]) == 2


@pytest.mark.parametrize("odd", ["\x0c", "\x1c", "\x85", "\u2028", "\x0b"])
def test_characters_that_end_no_line_of_python_move_no_change(odd: str) -> None:
    before, after = f'text = "a{odd}b"\n\x0c\n', "\nprint(Client)\n"
    result = rewrite(f"{before}from sipyco.pc_rpc import Client{after}")
    assert result.text == f"{before}from rexec.wire.pc_rpc import Client{after}"


@pytest.mark.parametrize(("safe_path", "wanted"), [(True, ["program", "first"]), (False, ["program"])])
def test_the_first_folder_of_the_user_stays_importable(
    safe_path: bool, wanted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `python -P`, the first folder of `sys.path` is not that of the program."""
    monkeypatch.setattr(sys, "path", ["first"])
    with monkeypatch.context() as patch:
        patch.setattr(sys, "flags", SimpleNamespace(safe_path=safe_path))
        _first_on_path("program")
    assert sys.path == wanted


def test_a_source_in_utf16_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "driver.py"
    path.write_text("import sipyco\n", "utf-16")
    assert main(["port", str(path)]) == 2
    assert capsys.readouterr().err == f"rexec port: error: {path}: it is UTF-16 text; save it as UTF-8\n"

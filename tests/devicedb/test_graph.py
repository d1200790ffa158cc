"""The graph of a database: everything in it is drawn, whatever it is called; svg where graphviz is."""

import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicedb.cli import main
from devicedb.graph import Edge, as_dot, as_mermaid, graph_of
from tests.devicedb.test_cli_check import ENTRIES

DATABASE = {
    "core": {"type": "local", "module": "artiq.coredevice.core", "class": "Core", "arguments": {"host": "k"}},
    "ttl": {"type": "local", "module": "m", "class": "T", "arguments": {"core_device": "core", "channel": 1}},
    "cam": {"type": "controller", "host": "lab", "port": 3290, "target_name": "camera"},
    "rx": {"type": "controller_aux_target", "controller": "cam", "target_name": "cam_rexec"},
    "shutter": "ttl",
    "ghost": "nobody",
    "odd": 5,
    "none": {"type": "controller", "host": None, "port": 1},
    "idle": {"type": "dummy"},
}


def test_edges_are_aliases_controllers_and_the_devices_of_arguments() -> None:
    graph = graph_of(DATABASE)
    assert graph.edges == (
        Edge("ttl", "core", "core_device"),
        Edge("rx", "cam", "controller"),
        Edge("shutter", "ttl"),
        Edge("ghost", "nobody"),
    )
    assert {host: [node.name for node in nodes] for host, nodes in graph.hosts().items()} == {
        "lab": ["cam"],
        "no host": ["none"],
    }
    assert [(node.name, node.kind) for node in graph.nodes][-1] == ("nobody", "missing")


def test_mermaid_puts_controllers_into_hosts() -> None:
    text = as_mermaid(graph_of(DATABASE))
    assert '  subgraph h0["lab"]\n    n2["cam<br/>port 3290, camera"]\n  end\n' in text
    assert '  n1 -->|"core_device"| n0\n' in text
    assert "  n4 -.-> n1\n" in text
    assert text.endswith("  class n6,n9 fault\n")


def test_dot_puts_controllers_into_clusters() -> None:
    text = as_dot(graph_of(DATABASE))
    assert (
        '  subgraph cluster_0 {\n    label="lab";\n    n2 [label="cam\\nport 3290, camera", shape=box];\n'
        in text
    )
    assert '  n3 -> n2 [label="controller"];\n' in text
    assert "  n4 -> n1 [style=dashed];\n" in text


@given(st.dictionaries(st.text(max_size=6), ENTRIES, max_size=6))
def test_nothing_in_a_database_breaks_out_of_its_quotes(raw: dict[str, object]) -> None:
    graph = graph_of(raw)
    for line in as_dot(graph).splitlines():
        assert re.sub(r'"(?:[^"\\]|\\.)*"', "", line).count('"') == 0
    hosts = len(graph.hosts())
    faults = 2 if any(node.kind in {"missing", "?"} for node in graph.nodes) else 0
    lines = as_mermaid(graph).splitlines()
    assert len(lines) == 1 + 2 * hosts + len(graph.nodes) + len(graph.edges) + faults
    assert all(line.count('"') in {0, 2} for line in lines)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "device_db.py").write_text(f"device_db = {DATABASE!r}\n")
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def graphviz(folder: Path, script: str) -> None:
    """Put a program called dot, in Python, on the path."""
    (folder / "dot.py").write_text(script)
    program = folder / "bin" / ("dot.bat" if os.name == "nt" else "dot")
    called = f'"{sys.executable}" "{folder / "dot.py"}"'
    program.write_text(f"@{called} %*\n" if os.name == "nt" else f'#!/bin/sh\n{called} "$@"\n')
    program.chmod(0o755)


def test_the_drawing_is_printed_or_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph"]) == 0
    assert capsys.readouterr().out == as_mermaid(graph_of(DATABASE))
    assert main(["graph", "--format", "dot", "--output", "x.dot"]) == 0
    assert (folder / "x.dot").read_text() == as_dot(graph_of(DATABASE))


def test_svg_is_what_graphviz_makes_of_the_dot(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # It writes the line ends of Windows, as it does there.
    write = "sys.stdout.buffer.write(f'<svg {sys.argv[1]}>\\n{sys.stdin.read()}'.replace('\\n', '\\r\\n').encode())"
    graphviz(folder, f"import sys\n{write}")
    assert main(["graph", "--format", "svg"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("<svg -Tsvg>\ndigraph devices {\n")
    assert text.endswith("}\n")


@pytest.mark.usefixtures("folder")
def test_svg_without_graphviz_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "--format", "svg", "--output", "x.svg"]) == 2
    error = capsys.readouterr().err
    assert "needs graphviz" in error
    assert error.count("\n") == 1
    assert not Path("x.svg").exists()


def test_a_graphviz_that_fails_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graphviz(folder, "import sys\nprint('no fonts', file=sys.stderr)\nsys.exit(3)")
    assert main(["graph", "--format", "svg"]) == 2
    assert "ended with status 3: no fonts" in capsys.readouterr().err

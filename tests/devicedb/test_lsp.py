"""`devicedb lsp` as an editor sees it: a client that speaks the protocol, and one server for all tests."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devicedb.cli import lsp as lsp_command
from devicedb.cli import main
from devicedb.lsp.files import path_of
from tests.devicedb.lsp_client import LanguageClient
from tests.supervise.controllers import alive
from tests.waiting import within

pytest.importorskip("pygls", reason="needs the extra lsp")

LAB = """device_db = {
    "camera": {"type": "controller", "host": "::1", "port": 3290, "target": "camera", "command": "a -p {port}"},
    "ünï😀": {"type": "controller_aux_target", "controller": "cam", "target_name": "rexec"}, "cam": "camera",
    "core": {"type": "local", "module": "artiq.coredevice.core", "class": "Core",
             "arguments": {"host": "::1", "ref_period": 1e-9}},
    "spi": {"type": "local", "module": "artiq.coredevice.spi2", "class": "SPIMaster", "arguments": {"channel": 1}},
    "cpld": {"type": "local", "module": "artiq.coredevice.urukul", "class": "CPLD",
             "arguments": {"spi_device": "spi"}},
    "dds": {"type": "local", "module": "artiq.coredevice.ad9910", "class": "AD9910",
            "arguments": {"cpld_device": "cpld", "chip_select": 4, "pll_n": 32}},
}
for number in range(2):
    device_db[f"pump{number}"] = {"type": "controller", "host": "::1", "port": 3300, "best_efort": 1}
"""
EXPERIMENT = """class Snap(EnvExperiment):
    def build(self):
        self.setattr_device("cam")
        self.pump = self.get_device("pump1")
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageClient]:
    found = LanguageClient(tmp_path_factory.mktemp("editor"), "--pause", "0")
    yield found
    if found.process.returncode is None:
        assert found.shut_down() == 0


@pytest.fixture
def lab(client: LanguageClient, tmp_path: Path) -> Iterator[Path]:
    """A database that is open and has been run."""
    path = tmp_path / "device_db.py"
    path.write_text(LAB, encoding="utf-8")
    client.open(path, LAB)
    client.wait(path, lambda codes: "DDB701" in codes)
    yield path
    client.close(path)


def place(text: str, word: str, skip: int = 0) -> tuple[int, int]:
    """Line and UTF-16 column of a word, and of so many characters behind its beginning."""
    before = text[: text.index(word) + skip]
    return before.count("\n"), len(before.rpartition("\n")[2].encode("utf-16-le")) // 2


def labels(answer: dict[str, Any]) -> list[str]:
    return [item["label"] for item in answer["items"]]


def covered(text: str, where: dict[str, Any]) -> str:
    """The characters of a range on one line."""
    line: bytes = text.splitlines()[where["start"]["line"]].encode("utf-16-le")
    return line[2 * where["start"]["character"] : 2 * where["end"]["character"]].decode("utf-16-le")


def edited(text: str, edits: list[dict[str, Any]]) -> str:
    lines = text.splitlines(keepends=True)
    for edit in sorted(edits, key=lambda each: str(each["range"]), reverse=True):
        start, end = edit["range"]["start"], edit["range"]["end"]
        assert start["line"] == end["line"]
        line = lines[start["line"]].encode("utf-16-le")
        first, last = line[: 2 * start["character"]], line[2 * end["character"] :]
        lines[start["line"]] = f"{first.decode('utf-16-le')}{edit['newText']}{last.decode('utf-16-le')}"
    return "".join(lines)


def test_findings_come_from_the_text_then_from_a_run(client: LanguageClient, tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    path.write_text("device_db = {}\n")
    client.open(path, LAB)
    client.wait(path, lambda codes: "DDB401" in codes)
    assert "DDB701" not in client.codes(path)  # what a loop makes, only a run knows
    client.wait(path, lambda codes: "DDB701" in codes)
    found = {each["code"]: each for each in client.diagnostics[path.as_uri()]["diagnostics"]}
    assert covered(LAB, found["DDB401"]["range"]) == '"target"'
    assert found["DDB701"]["severity"] == 2
    assert "and so for 'pump1'" in found["DDB701"]["message"]
    client.change(path, LAB.replace('"cam": "camera"', '"cam": "camrea"'))
    client.wait(path, lambda codes: "DDB201" in codes)
    alias = next(x for x in client.diagnostics[path.as_uri()]["diagnostics"] if x["code"] == "DDB201")
    assert covered(LAB, alias["range"]) == '"camera"'
    client.close(path)
    client.wait(path, lambda codes: not codes)


@pytest.mark.parametrize("name", ["cam", "ünï😀", "dds", "pump1"])
def test_hover_is_what_show_says(
    client: LanguageClient, lab: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", name, "--device-db", str(lab)]) == 0
    experiment = lab.parent / "experiments" / "snap.py"
    text = f"env.get_device('{name}')\n"
    client.open(experiment, text)
    found = client.at("hover", experiment, *place(text, "('", 4))
    assert found["contents"]["value"] == f"```text\n{capsys.readouterr().out}```"
    assert covered(text, found["range"]) == name
    client.close(experiment)


def test_hover_tells_what_a_key_is_for(client: LanguageClient, lab: Path) -> None:
    found = client.at("hover", lab, *place(LAB, "port", 2))
    assert found["contents"]["value"] == "`port`: TCP port of the server."
    assert client.at("hover", lab, *place(LAB, "3290", 2)) is None


@pytest.mark.parametrize(
    ("word", "skip", "target"),
    [
        ('"cam": "camera"', 9, '"camera"'),
        ('"controller": "cam"', 16, '"cam"'),
        ('"cpld_device": "cpld"', 17, '"cpld"'),
        ("ünï😀", 2, '"ünï😀"'),
    ],
)
def test_a_name_leads_to_its_entry(
    client: LanguageClient, lab: Path, word: str, skip: int, target: str
) -> None:
    found = client.at("definition", lab, *place(LAB, word, skip))
    assert found["uri"] == lab.as_uri()
    assert (found["range"]["start"]["line"], found["range"]["start"]["character"]) == place(LAB, f"{target}:")
    assert covered(LAB, found["range"]) == target


def test_an_experiment_leads_to_the_database_above_it(client: LanguageClient, tmp_path: Path) -> None:
    database, experiment = tmp_path / "device_db.py", tmp_path / "repository" / "a" / "snap.py"
    database.write_text(LAB, encoding="utf-8")
    client.open(experiment, EXPERIMENT)
    # The first check of the database is waited for, but not for long.
    cam, where = place(EXPERIMENT, '"cam"', 2), place(EXPERIMENT, "pump1", 2)
    assert within(150, lambda: client.at("definition", experiment, *cam) is not None)
    found = client.at("definition", experiment, *cam)
    assert (found["uri"], covered(LAB, found["range"])) == (database.as_uri(), '"cam"')
    # The database is not open: a run in the background tells what its loop makes.
    assert within(150, lambda: client.at("definition", experiment, *where) is not None)
    assert client.at("definition", experiment, *where)["range"]["start"]["line"] == 12
    assert labels(client.at("completion", experiment, *where)) == ["pump0", "pump1"]
    assert database.as_uri() not in client.diagnostics
    database.write_text(LAB.replace("pump", "valve"), encoding="utf-8")
    assert within(150, lambda: client.at("definition", experiment, *where) is None)
    client.close(experiment)


def test_an_experiment_is_checked_against_its_database(client: LanguageClient, tmp_path: Path) -> None:
    database, experiment = tmp_path / "device_db.py", tmp_path / "snap.py"
    database.write_text(LAB, encoding="utf-8")
    text = EXPERIMENT.replace('"cam"', '"cem"')
    client.open(experiment, text)
    client.wait(experiment, lambda codes: codes == ["DDB601"])
    (found,) = client.diagnostics[experiment.as_uri()]["diagnostics"]
    assert (covered(text, found["range"]), found["severity"]) == ('"cem"', 1)
    client.open(database, LAB.replace('"cam":', '"cem":'))
    client.wait(experiment, lambda codes: codes == [])
    client.change(database, LAB)
    client.wait(experiment, lambda codes: codes == ["DDB601"])
    client.change(experiment, EXPERIMENT)
    client.wait(experiment, lambda codes: codes == [])
    client.close(experiment)
    client.close(database)


def test_an_entry_may_be_in_an_imported_file(client: LanguageClient, tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(
        'é = 1; entries = {"ion": {"type": "controller", "host": "::1", "port": 1, "best_efort": 1}}\n',
        encoding="utf-8",
    )
    path, text = tmp_path / "device_db.py", 'from parts import entries\ndevice_db = {**entries, "i": "ion"}\n'
    client.open(path, text)
    parts = tmp_path / "parts.py"
    client.wait(path, lambda _: parts.as_uri() in client.diagnostics)
    assert client.diagnostics[parts.as_uri()]["diagnostics"][0]["code"] == "DDB701"
    found = client.at("definition", path, *place(text, '"ion"', 2))
    assert (found["uri"], found["range"]["start"]["character"]) == (parts.as_uri(), 18)
    client.change(path, "device_db = {}\n")
    client.wait(path, lambda _: not client.codes(parts))
    client.close(path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"x": "|",', ["cam", "camera", "core", "cpld", "dds", "pump0", "pump1", "spi", "ünï😀"]),
        ('"x": {"type": "controller_aux_target", "controller": "|"},', ["cam", "camera", "pump0", "pump1"]),
        ('"x": {"type": "|"},', ["local", "controller", "controller_aux_target", "dummy"]),
        ('"x": {"type": "controller_aux_target", "controller": "cam", "|"},', ["target_name", "best_effort"]),
        (
            '"x": {"type": "local", "module": "artiq.coredevice.ad991|"},',
            ["ad9910", "ad9912", "ad9914"],
        ),
        ('"x": {"type": "local", "module": "artiq.coredevice.urukul", "class": "C|"}', ["CPLD"]),
        (
            '"x": {"type": "local", "module": "artiq.coredevice.kasli_i2c", "class": "KasliEEPROM",\n'
            '      "arguments": {"|": 1, "port": "EEM0"}}',
            ["address", "busno", "core_device", "sw0_device", "sw1_device"],
        ),
        (
            '"x": {"arguments": {"cpld_device": "|"}, "module": "artiq.coredevice.ad9910", "class": "AD9910"}',
            ["cpld"],
        ),
    ],
)
def test_completion_offers_what_fits(
    client: LanguageClient, lab: Path, line: str, expected: list[str]
) -> None:
    text = LAB.replace("\n", f"\n    {line}\n", 1)  # no comma, perhaps: the text is being typed
    offset = text.index("|")
    typed = text[:offset] + text[offset + 1 :]
    client.change(lab, typed)
    answer = client.at("completion", lab, *place(text, "|"))
    found = [label.removeprefix("artiq.coredevice.") for label in labels(answer)]
    assert sorted(found) == sorted(expected)
    edit = answer["items"][0]["textEdit"]
    assert edited(typed, [edit]).splitlines()[edit["range"]["start"]["line"]].count(edit["newText"]) >= 1


def test_broken_text_keeps_what_was_known(client: LanguageClient, lab: Path) -> None:
    broken = LAB.replace('"cam": "camera"', '"cam": "camera').replace("\n", "\n\n", 1)
    client.change(lab, broken)
    client.wait(lab, lambda codes: codes == ["DDB001"])
    where = place(broken, '"cam": "', 9)
    assert client.at("hover", lab, *where)["contents"]["value"].startswith("```text\ncamera\n  type")
    assert client.at("definition", lab, *where)["range"]["start"]["line"] == 2  # one line further down now
    assert "camera" in labels(client.at("completion", lab, *where))


def test_a_quick_fix_is_the_fix_of_the_check(client: LanguageClient, lab: Path) -> None:
    line, column = place(LAB, '"target"', 3)
    where = {"line": line, "character": column}
    actions = client.request(
        "textDocument/codeAction",
        {
            "textDocument": {"uri": lab.as_uri()},
            "range": {"start": where, "end": where},
            "context": {"diagnostics": []},
        },
    )
    assert [each["kind"] for each in actions] == ["quickfix"]
    assert actions[0]["diagnostics"][0]["code"] == "DDB401"
    mended = edited(LAB, actions[0]["edit"]["changes"][lab.as_uri()])
    assert mended == LAB.replace('"target"', '"target_name"')
    client.change(lab, mended)
    client.wait(lab, lambda codes: "DDB701" in codes and "DDB401" not in codes)


def test_the_configuration_of_the_check_holds(client: LanguageClient, tmp_path: Path) -> None:
    config = tmp_path / "pyproject.toml"
    config.write_text('[tool.devicedb]\nignore = ["DDB401"]\nstatic = true\n')
    path = tmp_path / "device_db.py"
    client.open(path, LAB)
    client.wait(path, lambda codes: codes == [])
    config.write_text('[tool.devicedb]\nignroe = ["DDB401"]\n')
    client.change(path, LAB)
    client.wait(path, lambda codes: len(codes) == 1 and "no setting 'ignroe'" in codes[0])
    client.close(path)


def sleeping(folder: Path) -> str:
    """A database that notes its process and never ends."""
    note = f"open({str(folder / 'pids')!r}, 'a').write(f'{{os.getpid()}} ')"
    return f"import os, time\n{note}\ntime.sleep(1000)\ndevice_db = {{}}\n"


def started(folder: Path) -> list[int]:
    path = folder / "pids"
    return [int(each) for each in path.read_text().split()] if path.exists() else []


def test_an_edit_ends_the_run_of_the_text_before(client: LanguageClient, tmp_path: Path) -> None:
    path, text = tmp_path / "device_db.py", sleeping(tmp_path)
    client.open(path, text)
    assert within(150, lambda: len(started(tmp_path)) == 1)
    for number in range(20):
        client.change(path, f"{text}# {number}\n")
    client.change(path, LAB)
    client.wait(path, lambda codes: "DDB701" in codes)
    assert not any(map(alive, started(tmp_path)))
    client.close(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a program can catch")
@pytest.mark.parametrize("end", ["hang up", "SIGTERM"])
def test_the_child_goes_with_the_server(end: str, tmp_path: Path) -> None:
    client = LanguageClient(tmp_path, "--pause", "0", "--stdio", encodings=["utf-8", "utf-16"])
    assert client.capabilities["positionEncoding"] == "utf-8"
    client.open(tmp_path / "device_db.py", sleeping(tmp_path))
    assert within(150, lambda: len(started(tmp_path)) == 1)
    if end == "hang up":
        assert client.hang_up() == 1
    else:
        client.process.send_signal(signal.SIGTERM)
        assert client.gone() == -signal.SIGTERM
    assert not any(map(alive, started(tmp_path)))


def test_thousands_of_entries_are_narrowed(client: LanguageClient, tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    lines = [f'    "ttl{n}": {{"type": "dummy"}},\n' for n in range(3000)]
    text = f'device_db = {{\n{"".join(lines)}    "x": "ttl",\n}}\n'
    client.open(path, text)
    client.wait(path, lambda codes: codes == ["DDB201"])
    answer = client.at("completion", path, *place(text, '"ttl",', 4))
    assert (answer["isIncomplete"], len(answer["items"])) == (True, 200)
    text = text.replace('"ttl"', '"ttl2999"')
    client.change(path, text)
    answer = client.at("completion", path, *place(text, '"ttl2999",', 8))
    assert (answer["isIncomplete"], labels(answer)) == (False, ["ttl2999"])
    assert client.at("definition", path, *place(text, '"ttl2999",', 8))["range"]["start"]["line"] == 3000
    client.close(path)


def test_without_the_extra_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lsp_command, "find_spec", lambda name: None)
    assert main(["lsp"]) == 2
    assert capsys.readouterr().err == (
        "devicedb lsp: error: the language server needs the package pygls: pip install 'artiq-rexec[lsp]'\n"
    )


def test_a_person_at_a_terminal_is_told_who_starts_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("devicedb.cli.lsp.is_terminal", lambda stream: stream is sys.stdin)
    assert main(["lsp"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "devicedb lsp: error: standard input is a terminal, but an editor is to start this"
    )


def test_findings_are_cleared_under_the_uri_that_the_editor_wrote(
    client: LanguageClient, tmp_path: Path
) -> None:
    path = tmp_path / "device_db.py"
    path.write_text("device_db = {'a b': {'type': 'dummy'}}\n")
    uri = path.as_uri().replace("device_db", "%64evice_db")
    document = {"uri": uri, "languageId": "python", "version": 1, "text": path.read_text()}
    client.notify("textDocument/didOpen", {"textDocument": document})
    while not client.diagnostics.get(uri, {}).get("diagnostics"):
        client.next()
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    while client.diagnostics[uri]["diagnostics"]:
        client.next()


@pytest.mark.parametrize("uri", ["file://[bad/x.py", "untitled:x.py", "x.py"])
def test_a_uri_of_no_file_has_no_path(uri: str) -> None:
    assert path_of(uri) is None


def test_this_machine_is_no_server_of_files(tmp_path: Path) -> None:
    path = tmp_path / "ü x.py"
    assert path_of(path.as_uri()) == path_of(path.as_uri().replace("file:///", "file://localhost/")) == path
    assert path_of("file:///x.py") == Path(os.path.abspath("/x.py"))

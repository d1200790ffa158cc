"""`devicedb check --fix`, `--write` and `devicedb migrate`, and fixes in JSON and SARIF."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from devicedb.cli.main import main
from devicedb.whole_file import write_whole

ROOT = Path(__file__).parents[2]
BAD = """\
device_db = {
    "cam": {"type": "controller", "host": "::1", "port": 1, "target": "x"},
    "b": dict(type="controller", host="::1", port=2, target="y"),
}"""
GOOD = BAD.replace('"target"', '"target_name"')
DIFF = """\
--- device_db.py
+++ device_db.py
@@ -1,4 +1,4 @@
 device_db = {
-    "cam": {"type": "controller", "host": "::1", "port": 1, "target": "x"},
+    "cam": {"type": "controller", "host": "::1", "port": 1, "target_name": "x"},
     "b": dict(type="controller", host="::1", port=2, target="y"),
 }
\\ No newline at end of file
"""


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "device_db.py"
    path.write_bytes(BAD.encode())
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main([*words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_diff_is_printed_and_the_rest_told_with_the_reason(
    db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "check", "--fix", "--fail-on", "warning")
    assert (status, out) == (1, DIFF)
    assert "device_db.py:3:54: warning DDB401 'b' has 'target'" in err
    assert "(left: dict() or another call makes it)" in err
    assert err.endswith("1 file: 1 mended by this diff (--write applies it), 1 left\n")
    assert db.read_text() == BAD


@pytest.mark.usefixtures("db")
def test_a_stream_that_changes_line_ends_leaves_those_of_the_diff(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("device_db.py").write_bytes(BAD.replace("\n", "\r\n").encode())
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="utf-8", newline="\r\n")  # as standard output on Windows
    monkeypatch.setattr(sys, "stdout", stream)
    main(["check", "--fix"])
    stream.flush()
    assert written.getvalue().decode() == "".join(
        line if line.startswith(("---", "+++", "@@", "\\", " }")) else line.replace("\n", "\r\n")
        for line in DIFF.splitlines(keepends=True)
    )


@pytest.mark.skipif(shutil.which("patch") is None, reason="patch is not here")
def test_the_diff_is_one_that_patch_applies(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "check", "--fix", "--output", "fix.diff")
    subprocess.run(["patch", "-p0", "-s", "-i", "fix.diff"], check=True)
    assert db.read_text() == GOOD


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_written_files_keep_links_and_permissions_and_are_reported(
    db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db.chmod(0o640)
    db.rename("real.py")
    db.symlink_to("real.py")
    status, out, err = run(capsys, "check", "--fix", "--write", "-q", "--fail-on", "warning")
    assert (status, err) == (1, "1 finding mended\n")
    assert out.endswith("1 file checked: 1 warning\n")
    assert db.is_symlink()
    assert db.read_text() == GOOD
    assert db.stat().st_mode & 0o777 == 0o640
    before = os.stat("real.py").st_mtime_ns
    assert run(capsys, "check", "--fix", "--write", "-q")[2] == "0 findings mended\n"
    assert os.stat("real.py").st_mtime_ns == before


def test_a_file_that_changes_meanwhile_is_not_written(
    db: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from devicedb.cli import fixing

    made = fixing.fix_files

    def change(*given: object) -> object:
        fixed = made(*given)  # type: ignore[arg-type]
        write_whole(db, b"device_db = {}\n")
        return fixed

    monkeypatch.setattr(fixing, "fix_files", change)
    status, _, err = run(capsys, "check", "--fix", "--write")
    assert status == 2
    assert "changed while it was checked" in err
    assert db.read_text() == "device_db = {}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check", "--write"), "--write needs --fix"),
        (("check", "--fix", "-"), "--fix reads files, not standard input"),
        (("check", "--fix", "--format", "json"), "--fix prints a diff"),
        (("check", "--fix", "nowhere.py"), "nowhere.py: cannot be read: No such file or directory"),
        (("migrate", "--to", "8", "-"), "devicedb migrate reads files, not standard input"),
    ],
)
def test_what_cannot_be_fixed_is_an_error(
    words: tuple[str, ...], said: str, db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert said in err


def test_json_and_sarif_carry_the_edits(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "check", "--format", "json", "--static")
    report = json.loads(out)
    jsonschema.validate(report, json.loads((ROOT / "schemas" / "report.schema.json").read_text()))
    assert report["findings"][0]["fix"] == {
        "title": 'write "target_name" for "target"',
        "edits": [
            {
                "file": "device_db.py",
                "line": 2,
                "column": 61,
                "end_line": 2,
                "end_column": 69,
                "text": '"target_name"',
            }
        ],
        "refusal": "",
    }
    _, out, _ = run(capsys, "check", "--format", "sarif")
    first, second = json.loads(out)["runs"][0]["results"]
    assert "fixes" not in second
    (fix,) = first["fixes"]
    (change,) = fix["artifactChanges"]
    (replacement,) = change["replacements"]
    assert fix["description"]["text"] == 'write "target_name" for "target"'
    assert change["artifactLocation"]["uri"] == "device_db.py"
    assert replacement["deletedRegion"] == {"startLine": 2, "startColumn": 61, "endLine": 2, "endColumn": 69}
    assert replacement["insertedContent"] == {"text": '"target_name"'}


def test_a_database_is_migrated_to_a_release(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = '{"type": "local", "module": "artiq.coredevice.%s", "class": "%s", "arguments": {%s}}'
    core = device % ("core", "Core", '"host": "h", "ref_period": 1')
    wave = device % ("sawg", "SAWG", '"channel_base": 1, "parallelism": 2')
    text = f'device_db = {{\n"core": {core},\n"s": {device},\n"w": {wave},\n"x": "none"}}\n'
    db.write_text(text % ("i2c", "PCA9548", ""))
    status, out, err = run(capsys, "migrate", "--to", "8")
    assert status == 1
    assert (
        '+"s": {"type": "local", "module": "artiq.coredevice.i2c", "class": "I2CSwitch", "arguments": {}}'
        in out
    )
    assert "it went in ARTIQ 8 (nothing replaced it: remove the entry)" in err
    assert "DDB201" not in err
    assert run(capsys, "migrate", "--to", "8", "--write")[0] == 1
    assert db.read_text() == text % ("i2c", "I2CSwitch", "")
    assert run(capsys, "migrate", "--to", "7")[:2] == (0, "")

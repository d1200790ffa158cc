"""The files of an audit: what is written stays a chain, and whatever is done to it is found."""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rexec.access.audit_check import _records, verify
from rexec.access.audit_log import AuditInUse, AuditLog
from rexec.access.chain import files_of, head_of, make_line, rotated
from tests.private_files import is_for_its_owner

LINES = 40


def written(folder: Path, lines: int = LINES, limit: int = 2000) -> Path:
    """Write an audit of several files and return the last one."""
    path = folder / "camera.jsonl"
    log = AuditLog(path, limit)
    for number in range(lines):
        if number % 5:
            log.append("call", {"person": f"person {number % 3}", "method": "expose"})
        else:
            log.append_code({"person": "alice"}, f"def f():\n    return {number % 10}\n")
    log.close()
    return path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = written(tmp_path_factory.mktemp("audit"))
    assert len(files_of(path)) > 3
    report = verify(path)
    assert (report.lines, report.problems, report.notes) == (LINES, [], [])
    return path


def test_an_audit_is_for_its_owner(original: Path) -> None:
    for file in (*files_of(original), head_of(original)):
        assert is_for_its_owner(file), file


def test_a_rotation_that_cannot_go_on_touches_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows the audit is closed while it is renamed, and its descriptor's number becomes free."""
    path = tmp_path / "camera.jsonl"
    log = AuditLog(path, 200)
    log.append("call", {"text": "x" * 300})
    true_open = log._open

    def is_in_use() -> int:
        monkeypatch.setattr(log, "_open", true_open)
        raise AuditInUse("another process has it")

    monkeypatch.setattr(log, "_open", is_in_use)
    with pytest.raises(AuditInUse):
        log.append("call", {"text": "lost"})
    with open(tmp_path / "measured", "wb") as other:
        other.write(b"data" * 1000)
        other.flush()
        for number in range(5):
            log.append("call", {"number": number, "text": "x" * 300})
        other.write(b"end")
    log.close()
    assert (tmp_path / "measured").read_bytes() == b"data" * 1000 + b"end"
    report = verify(path)
    assert (report.lines, report.problems) == (6, [])


def test_a_source_is_once_in_each_file(original: Path) -> None:
    for file in files_of(original):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        sources = [line["source"] for line in lines if "source" in line]
        assert len(sources) == len(set(sources))
        assert {line["sha256"] for line in lines if line["kind"] == "code"} == {
            line["sha256"] for line in lines if "source" in line
        }


def spoil(data: st.DataObject, files: list[Path], head: Path) -> str:
    """Change an audit in one way; return which."""
    kind = data.draw(
        st.sampled_from(
            ["change", "remove", "exchange", "repeat", "cut", "cut bytes", "forge", "file", "head"]
        )
    )
    file = data.draw(st.sampled_from(files))
    lines = file.read_bytes().splitlines(keepends=True)
    index = data.draw(st.integers(0, len(lines) - 1))
    if kind == "change":
        at = data.draw(st.integers(0, len(lines[index]) - 2))  # not the line end
        byte = data.draw(st.integers(0, 255).filter(lambda byte: byte not in (lines[index][at], 10)))
        lines[index] = lines[index][:at] + bytes([byte]) + lines[index][at + 1 :]
    elif kind == "remove":
        del lines[index]
    elif kind == "exchange":
        other = data.draw(st.integers(0, len(lines) - 1).filter(lambda other: other != index))
        lines[index], lines[other] = lines[other], lines[index]
    elif kind == "repeat":
        lines.insert(index, lines[index])
    elif kind == "cut":
        lines = lines[:index]
    elif kind == "cut bytes":
        text = b"".join(lines)
        lines = [text[: data.draw(st.integers(0, len(text) - 1))]]
    elif kind == "forge":  # with a hash of its own that is right
        fields = json.loads(lines[index])
        lines[index], _ = make_line(fields["n"], fields["prev"], "call", {"person": "mallory"}, 0.0)
    elif kind == "file" and file != files[0]:
        file.unlink()
        return kind
    elif kind == "head":
        text = head.read_bytes()
        head.write_bytes(text.replace(b'"n":', b'"n":9')) if index % 2 else head.unlink()
        return kind
    file.write_bytes(b"".join(lines))
    return kind


@settings(max_examples=150)
@given(data=st.data())
def test_each_change_removal_exchange_and_truncation_is_found(original: Path, data: st.DataObject) -> None:
    folder = original.parent / "spoiled"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for each in (*files_of(original), head_of(original)):
        shutil.copy(each, folder)
    path = folder / original.name
    before = {each: each.read_bytes() for each in folder.iterdir()}
    kind = spoil(data, files_of(path), head_of(path))
    after = {each: each.read_bytes() for each in folder.iterdir()}
    report = verify(path)
    assert bool(report.problems) == (after != before), (kind, report)
    # A writer that starts now goes on, and what was found before is still found.
    if after != before:
        log = AuditLog(path, 2000)
        log.append("start", {})
        log.close()
        assert verify(path).problems, kind


def test_whoever_writes_everything_anew_is_found_by_a_hash_kept_elsewhere(tmp_path: Path) -> None:
    path = written(tmp_path)
    kept = verify(path).last
    for each in (*files_of(path), head_of(path)):
        each.unlink()
    written(tmp_path, LINES + 5)
    assert verify(path).problems == []
    assert verify(path, kept).problems == [
        "line 40 does not have the expected hash: the audit was written anew"
    ]


def test_the_oldest_files_may_be_taken_away(tmp_path: Path) -> None:
    path = written(tmp_path)
    files_of(path)[0].unlink()
    report = verify(path)
    assert report.problems == []
    assert "are in files that are not here" in report.notes[0]
    log = AuditLog(path, 2000)
    log.append("start", {})
    log.close()
    assert verify(path).problems == []


WRITER = """
import sys
from pathlib import Path
from rexec.access.audit_log import AuditLog
log = AuditLog(Path(sys.argv[1]), 3000)
number = 0
while True:
    number += 1
    log.append_code({"person": "alice", "number": number}, f"x = {number % 7}")
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_a_chain(tmp_path: Path) -> None:
    path = tmp_path / "camera.jsonl"
    chance = random.Random(7)
    lines = 0
    for _ in range(10):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            kept = [process.stdout.readline() for _ in range(chance.randint(1, 30))]
            threading.Event().wait(chance.uniform(0.0, 0.005))  # any instant will do
            process.kill()
        report = verify(path)
        assert report.problems == []
        assert report.lines >= lines + len(kept)
        lines = report.lines


LIMITED = """
import resource, signal, sys
from pathlib import Path
from rexec.access.audit_check import verify
from rexec.access.audit_log import AuditLog
path = Path(sys.argv[1])
log = AuditLog(path, 1 << 20)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log.append("start", {})
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
full = 0
for number in range(30):
    try:
        log.append("call", {"number": number})
    except OSError:
        full += 1
        assert not verify(path).problems, verify(path)
assert full
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.append("call", {})
report = verify(path)
assert not report.problems, report
print(full, report.notes)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_full_disk_leaves_a_chain_and_says_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "a.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    full, _, notes = done.stdout.partition(" ")
    assert f"{full} records before it could not be written" in notes


def test_threads_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    log = AuditLog(path, 5000)

    def write() -> None:
        for number in range(100):
            log.append("call", {"x": number})

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    report = verify(path)
    assert (report.lines, report.problems) == (400, [])


def test_an_audit_verifies_while_it_is_written_and_rotated(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    log, stop = AuditLog(path, 3000), threading.Event()
    log.append("start", {})

    def write() -> None:
        while not stop.is_set():
            log.append("call", {"x": 1})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(20):
            assert verify(path).problems == []
    finally:
        stop.set()
        thread.join()
    log.close()


def test_a_line_that_is_completed_while_it_is_read_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    log = AuditLog(path)
    log.append("call", {})
    log.append("call", {})
    log.close()
    text = path.read_bytes()
    path.write_bytes(text[:-5])
    with path.open("rb") as stream, path.open("ab") as server:
        found = _records(path, stream)
        assert [isinstance(said, str) for _, said in (next(found), next(found))] == [False, True]
        server.write(text[-5:])
        server.flush()
        assert list(found) == []


def test_an_audit_goes_on_while_another_program_has_its_file_open(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    log = AuditLog(path, 300)
    with path.open("rb"):  # Windows renames no open file
        for _ in range(10):
            log.append("call", {"x": 1})
        report = verify(path)
    log.append("call", {"x": 1})
    log.append("call", {"x": 1})
    log.close()
    assert (report.lines, report.problems) == (10, [])
    assert (verify(path).lines, verify(path).problems) == (12, [])
    assert len(rotated(path)) > 0


def test_a_second_writer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.access.audit_log._PATIENCE", 0.0)
    log = AuditLog(tmp_path / "a.jsonl")
    with pytest.raises(AuditInUse, match="by another process"):
        AuditLog(tmp_path / "a.jsonl")
    log.close()
    AuditLog(tmp_path / "a.jsonl").close()


@pytest.mark.parametrize("part", [0, 10, 10_000])
def test_a_line_that_ctrl_c_interrupts_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    path = tmp_path / "a.jsonl"
    log = AuditLog(path)
    log.append("start", {})
    real = os.write

    def interrupted(descriptor: int, data: Any) -> int:
        real(descriptor, data[:part])
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log.append("call", {})
    monkeypatch.setattr(os, "write", real)
    log.append("call", {})
    log.close()
    report = verify(path)
    assert report.problems == []
    assert report.lines == (3 if part == 10_000 else 2)


def test_a_forked_child_writes_nothing(tmp_path: Path) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    path = tmp_path / "a.jsonl"
    log = AuditLog(path)
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom rexec.access.audit_log import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]))\nlog.append('start', {})\npid = os.fork()\nlog.append('call', {})\n"
        "if pid: os.waitpid(pid, 0)\n"
    )
    log.close()
    subprocess.run([sys.executable, "-c", code, str(path)], timeout=150, check=True)
    assert verify(path).lines == 2

"""A file is written whole or not at all, whatever ends the writer."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from devicedb import load_file, opening, whole_file
from devicedb.check.config import Settings
from devicedb.check.engine import Subject, check_file
from devicedb.whole_file import make_folder, read_whole, write_whole
from rexec.cli._given import of_file
from rexec.experiment.loading import import_file
from rexec.simulate.behaviours import load_behaviours
from tests.holding import held, windows

if TYPE_CHECKING:
    from _typeshed import TraceFunction

posix = pytest.mark.skipif(os.name == "nt", reason="permissions and signals of POSIX")


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_the_content_is_exact_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    for data in (b"", b"a\r\nb\x00\xff", b"x" * 1_000_000):
        write_whole(path, data)
        assert path.read_bytes() == data
        assert [each.name for each in tmp_path.iterdir()] == ["settings"]


def test_a_name_without_a_folder_is_in_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_whole(Path("settings"), b"a")
    assert (tmp_path / "settings").read_bytes() == b"a"


@pytest.mark.skipif(os.name != "nt", reason="names that Windows refuses")
@pytest.mark.parametrize("name", ["scan_12:30.csv", "con.png", "a?.json", "a.json.", "a./b.json"])
def test_a_name_that_windows_refuses_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=r"streams of such names, .* name another"):
        write_whole(tmp_path / name, b"a")
    with pytest.raises(OSError, match=r"streams of such names, .* name another"):
        make_folder(tmp_path / name)
    assert not list(tmp_path.iterdir())


@posix
def test_a_new_file_has_the_permissions_of_the_umask(tmp_path: Path, umask: None) -> None:
    write_whole(tmp_path / "new", b"a")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


@posix
@pytest.mark.parametrize("mode", [0o600, 0o444, 0o755])
def test_a_replaced_file_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_whole(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", mode)


@posix
def test_a_mode_holds_from_the_first_moment_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: None
) -> None:
    seen = []
    real = os.open

    def watched(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = real(path, flags, mode)
        seen.append(os.fstat(descriptor).st_mode & 0o077)
        return descriptor

    monkeypatch.setattr(os, "open", watched)
    write_whole(tmp_path / "key", b"secret", 0o600, sync_folder=False)
    assert seen == [0]
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_step_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "settings"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"settings": b"old"}


def test_the_order_is_content_then_name_then_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        steps.append("sync")
        sync(descriptor)

    def renamed(*paths: Path) -> None:
        steps.append("rename")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_whole(tmp_path / "a", b"a")
    assert steps == (["sync", "rename"] if os.name == "nt" else ["sync", "rename", "sync"])
    steps.clear()
    write_whole(tmp_path / "a", b"b", sync_folder=False)
    assert steps == ["sync", "rename"]


@posix
@pytest.mark.parametrize(("code", "raised"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_only_a_folder_without_sync_is_excused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, raised: bool
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fails)
    if raised:
        with pytest.raises(OSError, match=os.strerror(code)):
            whole_file.sync_folder_of(tmp_path / "a")
    else:
        whole_file.sync_folder_of(tmp_path / "a")


def test_a_reader_on_windows_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [PermissionError(errno.EACCES, "held by a reader") for _ in range(5)]
    replace = os.replace

    def held(*paths: Path) -> None:
        if failures:
            raise failures.pop()
        replace(*paths)

    monkeypatch.setattr(os, "replace", held)
    monkeypatch.setattr(opening, "_REFUSES_HELD_FILES", True)
    write_whole(tmp_path / "a", b"a")
    assert (tmp_path / "a").read_bytes() == b"a"


def test_a_reader_that_stays_is_an_error_after_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*paths: Path) -> None:
        raise PermissionError(errno.EACCES, "held by a reader")

    monkeypatch.setattr(os, "replace", held)
    monkeypatch.setattr(opening, "_REFUSES_HELD_FILES", True)
    monkeypatch.setattr(opening, "PATIENCE", 0.02)
    with pytest.raises(PermissionError, match="held by a reader"):
        write_whole(tmp_path / "a", b"a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    os.name != "nt", reason="only Windows keeps read-only files and held ones from being replaced"
)
def test_a_file_that_cannot_be_replaced_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "PATIENCE", 0.02)
    path = tmp_path / "device_db.py"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with path.open("rb"), pytest.raises(PermissionError):
        write_whole(path, b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["device_db.py"]
    path.chmod(0o666)
    assert path.read_bytes() == b"old"


def test_readers_see_whole_files_while_threads_write(tmp_path: Path) -> None:
    path = tmp_path / "a"
    contents = [bytes([65 + index]) * 50_000 for index in range(4)]
    write_whole(path, contents[0])

    def write(data: bytes) -> None:
        for _ in range(10):
            write_whole(path, data, sync_folder=False)

    threads = [threading.Thread(target=write, args=(data,)) for data in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        try:
            assert path.read_bytes() in contents
        except PermissionError:
            assert os.name == "nt"  # which refuses a reader while the file is replaced
        # A writer goes on when this thread waits, which would be only while it has the file open.
        time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


WRITER = """
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from devicedb.whole_file import write_whole
for number in range(10**9):
    write_whole(Path(sys.argv[1]), bytes([65 + number % 26]) * 200_000, sync_folder=False)
    if number == 3:
        print("writing", flush=True)
"""


@posix
def test_a_writer_killed_at_any_instant_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for round_ in range(5):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"writing\n"
            time.sleep(0.003 * round_)
            writer.kill()
        data = path.read_bytes()
        assert len(data) == 200_000
        assert len(set(data)) == 1


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"new", 0o640)
    assert os.listdir(target.parent) == ["target"]
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "later")
    write_whole(dangling, b"new")
    assert dangling.is_symlink()
    assert (tmp_path / "later").read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.py"
    os.mkfifo(pipe)
    for read in (read_whole, load_file, import_file, load_behaviours):
        for path in (pipe, Path("/dev/zero")):
            with pytest.raises(
                Exception, match=f"{path}.*it is no regular file|it is no regular file.*{path}"
            ):
                read(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_file_that_is_utf16_is_called_so(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "device_db.py"
    path.write_text("\ufeff" * (encoding != "utf-16") + "device_db = {}\n", encoding)

    def checked(file: Path) -> object:
        return check_file(Subject(file, str(file)), Settings())

    readers: list[Callable[[Path], object]] = [read_whole, load_file, import_file, load_behaviours, of_file]
    for read in (*readers, checked):
        with pytest.raises(Exception, match="it is UTF-16 text; save it as UTF-8") as caught:
            read(path)
        assert repr(str(path))[1:-1] in str(caught.value) or str(path) in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_what_is_no_file_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, b"text", 0o600)
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


# What was opened and not yet entered is closed by its collection.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(
    os.name == "nt", reason="Windows removes no open file, such as one that Ctrl-C has left open"
)
def test_an_interrupt_at_any_line_leaves_a_whole_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"old")
    contents: list[bytes] = []
    ended = False
    while not ended:
        lines = iter(range(len(contents)))

        def interrupt(frame: FrameType, event: str, arg: object) -> "TraceFunction | None":
            if frame.f_code.co_filename != whole_file.__file__:
                return None
            if event == "line" and next(lines, None) is None:  # noqa: B023  # called within this step
                sys.settrace(None)
                raise KeyboardInterrupt
            return interrupt

        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            write_whole(path, b"new")
            ended = True
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        contents.append(path.read_bytes())
        assert os.listdir(tmp_path) == ["a"]
    assert len(contents) > 15
    assert contents == sorted(contents, reverse=True)
    assert set(contents) == {b"old", b"new"}


@windows
def test_what_a_program_keeps_for_itself_is_read_once_it_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "device_db.py"
    path.write_bytes(b"device_db = {}")
    with held(path, seconds=1.0):
        assert read_whole(path) == b"device_db = {}"
    monkeypatch.setattr(opening, "PATIENCE", 0.1)
    with held(path), pytest.raises(PermissionError):
        read_whole(path)

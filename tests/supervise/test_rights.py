"""`rexec up` tells controllers what their entries allow, again at each change, and restarts none for that."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from devicedb import from_dict, load_file
from devicedb.rights import file_of_rights
from rexec.access.guard import RIGHTS
from rexec.access.kernel_user import user_name
from rexec.access.rights import Right, device_rights
from rexec.supervise.access_files import AccessFiles
from tests.cli.test_up import CONTROLLER, entry
from tests.clock import set_clock
from tests.serving import free_port
from tests.supervise.running import call, pids, up, write
from tests.waiting import within


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the user of a connection")
def test_rights_are_enforced_and_changed_while_the_controller_runs(tmp_path: Path) -> None:
    (tmp_path / "controller.py").write_text(CONTROLLER)
    port, own = free_port(), user_name(os.getuid())
    write(tmp_path, {"a": entry(port, allow={own: ["read"]})})
    with up(tmp_path) as running:
        running.next("a", "up")
        before = pids(running)
        with pytest.raises(PermissionError) as caught:
            call(port, "pid")
        assert str(caught.value).startswith(
            f"refused: {own} (user of this machine) may not call pid() of 'a': that takes 'call', and its entry ("
        )
        assert "device_db.py:" in str(caught.value)
        write(tmp_path, {"a": entry(port, allow={own: ["call"]})})
        assert within(150, lambda: is_allowed(port))
        assert call(port, "pid") == before["a"]
        write(tmp_path, {"a": entry(port, allow={own: []})})
        assert within(150, lambda: not is_allowed(port))
        assert pids(running) == before
        write(tmp_path, {"a": entry(port)})
        assert within(150, lambda: is_allowed(port))
        assert pids(running) == before


def is_allowed(port: int) -> bool:
    try:
        call(port, "pid")
    except PermissionError:
        return False
    return True


def test_the_file_of_rights_has_the_line_of_each_entry(tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    path.write_text(
        'device_db = {"a": {"type": "controller", "host": "::1", "port": 1,\n'
        '    "allow": {"alice": ["call", "rexec"], "*": ["read"]}}}\n'
        'for n in range(2):\n    device_db[f"b{n}"] = {"type": "controller", "host": "::1", "port": 2 + n,\n'
        '        "allow": {}}\n'
        'device_db["free"] = {"type": "controller", "host": "::1", "port": 9}\n'
        'device_db["wrong"] = {"type": "controller", "host": "::1", "port": 8, "allow": {"a": ["x"]}}\n'
    )
    text = file_of_rights(load_file(path))
    assert (device_rights(text, "a").place, device_rights(text, "b1").place) == (f"{path}:2", f"{path}:5")
    assert device_rights(text, "a").allow == {"alice": Right.REXEC, "*": Right.READ}
    assert device_rights(text, "b0").allow == {}
    assert device_rights(text, "free").allow is None
    with pytest.raises(ValueError, match="no controller 'wrong'"):
        device_rights(text, "wrong")


def test_a_file_of_rights_that_was_cleaned_away_is_back_within_the_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = AccessFiles()
    files.write(from_dict({"a": {"type": "controller", "host": "::1", "port": 1}}, "a database"))
    path = Path(files.variables("a")[RIGHTS])
    text = path.read_text()
    shutil.rmtree(path.parent)
    files.keep()
    assert not path.exists()
    set_clock(monkeypatch, "rexec.supervise.access_files", monotonic=lambda: float("inf"))
    files.keep()
    assert path.read_text() == text
    files.close()
    assert not path.parent.exists()

"""The view Devices in a real browser."""

from pathlib import Path
from typing import Any

import pytest

from tests.serving import free_port, running
from tests.web.conftest import enter
from tests.web.served import served


class Camera:
    """A camera of the tests. <b>Not bold</b>"""

    def exposure(self, seconds: float = 0.1) -> None:
        """Set the exposure <script>alert(1)</script>."""

    def ping(self) -> bool:
        return True


def entry(port: int) -> dict[str, Any]:
    return {
        "type": "controller",
        "host": "127.0.0.1",
        "port": port,
        "target_name": "camera",
        "command": "none",
    }


def database(path: Path, **entries: Any) -> Path:
    file = path / "device_db.py"
    file.write_text(f"device_db = {entries!r}\n", encoding="utf-8")
    return file


def test_what_works_what_does_not_and_what_to_do(tmp_path: Path, tab: Any) -> None:
    with running({"camera": Camera()}) as server:
        file = database(
            tmp_path, camera=entry(server.port), laser=entry(1), cam="camera", dds={"type": "local"}, odd=3
        )
        with served(with_master=False, device_db=file) as lab:
            tab.goto(lab.url)
            tab.click("nav >> text=Devices")
            tab.wait_for_selector("tr:has-text('laser') >> text=refused")
            tab.wait_for_selector("tr:has-text('camera') >> text=up")
            names = tab.locator(".devices tbody tr th").all_inner_texts()
            assert names == ["laser", "odd", "camera", "dds"], "errors come first"
            tab.select_option("#only", "trouble")
            tab.wait_for_selector("tr:has-text('camera')", state="detached")
            assert tab.url.endswith("/devices?only=trouble")
            tab.select_option("#only", "all")
            tab.click("text=camera")
            tab.wait_for_selector("text=exposure(seconds: float = 0.1) -> None")
            assert "/devices/camera" in tab.url
            tab.wait_for_selector("text=Set the exposure <script>alert(1)</script>.")
            assert "also called cam" in tab.inner_text(".details")
            tab.reload()
            tab.wait_for_selector("text=exposure(seconds: float = 0.1) -> None")
            tab.go_back()
            tab.wait_for_selector(".details", state="detached")


def test_the_methods_of_a_controller_that_starts_later_are_shown(
    tmp_path: Path, tab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rexec.web.device_watch.EVERY", 0.5)
    port = free_port()
    with served(with_master=False, device_db=database(tmp_path, camera=entry(port))) as lab:
        enter(tab, lab, "devices/camera")
        tab.wait_for_selector("text=They are shown when the controller answers.")
        with running({"camera": Camera()}, port=port):
            tab.wait_for_selector("text=exposure(seconds: float = 0.1) -> None")


def test_a_changed_database_is_followed(tmp_path: Path, tab: Any) -> None:
    file = database(tmp_path, one=entry(1))
    with served(with_master=False, device_db=file) as lab:
        enter(tab, lab, "devices")
        tab.wait_for_selector("button.name bdi:text-is('one')")
        database(tmp_path, two=entry(1), three={"type": "local", "module": "x", "class": "y"})
        tab.wait_for_selector("button.name bdi:text-is('two')")
        tab.wait_for_selector("button.name bdi:text-is('one')", state="detached")


def test_a_database_that_cannot_be_read_says_why(tmp_path: Path, tab: Any) -> None:
    file = tmp_path / "device_db.py"
    file.write_text("device_db = {\n  'a': 1/0,\n}\n", encoding="utf-8")
    with served(with_master=False, device_db=file) as lab:
        tab.goto(lab.url)
        tab.click("nav >> text=Devices")
        tab.wait_for_selector("text=device_db.py:2")
        assert "0 devices" not in tab.inner_text("main")
        assert tab.locator("[role=region]:visible").count() == 0, (
            "there is no table to come to by the keyboard"
        )


def test_hostile_names_of_devices(tmp_path: Path, tab: Any) -> None:
    names = ["<script>alert(1)</script>", "\u202eevil", "x" * 100_000, "\x1b[2J", "a/../b?c#d", "__proto__"]
    file = database(tmp_path, **{each: entry(1) for each in names})
    with served(with_master=False, device_db=file) as lab:
        tab.goto(lab.url)
        tab.click("nav >> text=Devices")
        tab.wait_for_selector(f"text={len(names)} of {len(names)} devices")
        for button in tab.locator(".devices .name").all():
            button.click()
        assert not set(tab.inner_text("body")) & set("\u202e\x1b")
        assert tab.evaluate("() => [...document.scripts].every((each) => each.src.includes('/static/'))")

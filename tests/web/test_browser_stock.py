"""The page beside a real ARTIQ master: an experiment that it runs, drawn in a browser; its devices and its log."""

from pathlib import Path
from typing import Any

import pytest

from tests.interop.artiq import EACH, release
from tests.interop.test_stock_master import LOCAL, master
from tests.web.served import served


@pytest.mark.parametrize("python", EACH)
def test_a_stock_master_is_followed(python: str, tmp_path: Path, tab: Any) -> None:
    (tmp_path / "device_db.py").write_text(
        "device_db = {'led': {'type': 'local', 'module': 'a', 'class': 'B'}}\n"
    )
    with (
        master(python, tmp_path) as stock,
        served(
            with_master=False, master=(LOCAL, stock.notify, stock.broadcast), control=stock.control
        ) as lab,
    ):
        tab.goto(lab.url)
        tab.wait_for_selector("text=No datasets yet")
        if release(python) >= 8:  # the experiment is written for these
            expid = {"file": "ramp.py", "class_name": "Ramp", "arguments": {"steps": 4}, "log_level": 30}
            with stock.client("schedule") as client:
                client.submit("main", expid | {"repo_rev": None, "devarg_override": {}}, 0, None, False)
        else:
            with stock.client("dataset_db") as client:
                client.set("ramp.list", [0, 1, 2])
                client.update({"action": "append", "path": ["ramp.list", 1], "x": 3})
                client.set("ramp.ended", True)
        tab.wait_for_selector('[aria-label="Plot of ramp.list"] .chart[data-drawn]')
        tab.wait_for_selector("tr:has-text('ramp.ended')")
        tab.wait_for_function(
            "() => document.querySelector('[aria-label=\"Plot of ramp.list\"] .chart').data[0].y.length === 4"
        )
        tab.click("nav >> text=Devices")
        tab.wait_for_selector("tr:has-text('led')")

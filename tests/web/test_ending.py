"""The end of the page's server, while a browser reads slowly."""

import gc
import http.client
import os
from pathlib import Path

import numpy as np
import pytest

from tests.catalogue.laboratories import made
from tests.web.served import served


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # anyio leaves the file to be collected
def test_an_answer_that_is_cut_off_is_no_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = made(tmp_path / "results", 1, values={"x": np.frombuffer(os.urandom(1 << 26), np.uint8)})
    with served(with_master=False, results=tmp_path / "results") as page:
        connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=150)
        name = path.relative_to(tmp_path / "results").as_posix()
        connection.request("GET", f"/file?file={name}", headers={"cookie": page.cookie()})
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read(1000)
    connection.close()
    gc.collect()
    assert "Traceback" not in caplog.text

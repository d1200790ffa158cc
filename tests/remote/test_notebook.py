"""A notebook shows a job that a cell waits for; a shell, another thread and a quick job show nothing."""

import sys
import threading
import types
from typing import Any

import pytest

from rexec.remote import _notebook
from tests.waiting import within


class Job:
    name = "scan"

    def __init__(self, ended: bool = False) -> None:
        self.ended = ended

    def done(self) -> bool:
        return self.ended


class Notebook:
    """IPython, as far as it is used: its shell has a kernel in a notebook only."""

    def __init__(self, shell: Any) -> None:
        self.get_ipython = lambda: shell
        self.shown: list[Any] = []
        self.updated = threading.Semaphore(0)

    def display(self, thing: Any, *, display_id: bool) -> "Notebook":
        assert display_id
        self.shown.append(thing)
        return self

    def update(self, thing: Any) -> None:
        self.shown.append(thing)
        self.updated.release()


def in_a(monkeypatch: pytest.MonkeyPatch, shell: Any) -> Notebook:
    notebook = Notebook(shell)
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    return notebook


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("rexec shows")]


def test_a_notebook_shows_a_job_until_the_cell_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = in_a(monkeypatch, types.SimpleNamespace(kernel=1))
    monkeypatch.setattr(_notebook, "_PATIENCE", 0.01)
    monkeypatch.setattr(_notebook, "_EVERY", 0.01)
    job: Any = Job()
    with _notebook.shown(job):
        assert threads() == ["rexec shows scan"]
        assert all(each.daemon for each in threading.enumerate() if each.name in threads())
        for _ in range(3):
            assert notebook.updated.acquire(timeout=150)
    assert within(150, lambda: not threads())
    assert len(notebook.shown) >= 4
    assert set(notebook.shown) == {job}


def test_the_last_that_is_shown_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = in_a(monkeypatch, types.SimpleNamespace(kernel=1))
    monkeypatch.setattr(_notebook, "_PATIENCE", 0.01)
    monkeypatch.setattr(_notebook, "_EVERY", 150.0)
    job: Any = Job()
    with _notebook.shown(job):
        assert within(150, lambda: notebook.shown)
    assert within(150, lambda: not threads())
    assert notebook.shown == [job, job]


def test_a_job_that_ends_soon_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = in_a(monkeypatch, types.SimpleNamespace(kernel=1))
    monkeypatch.setattr(_notebook, "_PATIENCE", 150.0)
    job: Any = Job()
    with _notebook.shown(job):
        assert threads()
    assert within(150, lambda: not threads())
    assert notebook.shown == []


def test_nothing_is_shown_beyond_a_notebook_and_its_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def wait(ended: bool = False) -> None:
        job: Any = Job(ended)
        with _notebook.shown(job):
            seen.append(threads())

    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    wait()
    for shell in (None, object()):
        in_a(monkeypatch, shell)
        wait()
    in_a(monkeypatch, types.SimpleNamespace(kernel=1))
    wait(ended=True)
    other = threading.Thread(target=wait)
    other.start()
    other.join(150)
    assert seen == [[]] * 5

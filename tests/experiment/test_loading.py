"""An experiment's file is imported as by ARTIQ, and its class is found."""

import importlib.util
import linecache
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rexec.experiment import ExperimentClassError, ExperimentFileError
from rexec.experiment.loading import (
    check_names,
    choose_class,
    experiment_classes,
    import_file,
    importable,
    title,
)

ONE = '''
from rexec.experiment import EnvExperiment

class One(EnvExperiment):
    """Measure something

    At length.
    """

class _Private(EnvExperiment):
    pass
'''
TWO = ONE + "class Two(One):\n    pass\n"


def load(folder: Path, text: str, name: str = "experiment.py") -> tuple[Path, object]:
    path = folder / name
    path.write_text(text)
    with importable([folder]):
        return path, import_file(path)


def choose(folder: Path, text: str, name: str | None = None) -> type:
    path, module = load(folder, text)
    return choose_class(module, path, name)[1]  # type: ignore[arg-type]


def test_the_only_public_class_is_chosen(tmp_path: Path) -> None:
    chosen = choose(tmp_path, ONE)
    assert (chosen.__name__, title(chosen)) == ("One", "Measure something")


def test_of_several_classes_one_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(ExperimentClassError, match="choose one with -c: One, Two"):
        choose(tmp_path, TWO)
    chosen = choose(tmp_path, TWO, "Two")
    assert (chosen.__name__, title(chosen)) == ("Two", "Two")


def test_a_named_class_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ExperimentClassError, match=r"it has One, Two. Did you mean 'Two'\?"):
        choose(tmp_path, TWO, "Twoo")
    with pytest.raises(ExperimentClassError, match="it has none"):
        choose(tmp_path, "class One:\n    pass", "One")


def test_a_file_without_experiment_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(ExperimentClassError, match="derives from EnvExperiment"):
        choose(tmp_path, "from rexec.experiment import *\nx = 1\n")


def test_a_class_has_the_name_under_which_it_was_asked_for(tmp_path: Path) -> None:
    text = f"{ONE}class Outer:\n    class Inner(One):\n        pass\nMade = type('Hidden', (One,), {{}})\n"
    path, module = load(tmp_path, text)
    for name, own in (("Outer.Inner", "Inner"), ("Made", "Hidden"), ("One", "One")):
        chosen = choose_class(module, path, name)  # type: ignore[arg-type]
        assert (chosen[0], chosen[1].__name__) == (name, own)
    with pytest.raises(ExperimentClassError, match=r"no experiment class 'Outer\.Inne'"):
        choose(tmp_path, text, "Outer.Inne")


def test_a_class_of_the_file_comes_before_imported_ones(tmp_path: Path) -> None:
    (tmp_path / "base_of_test_loading.py").write_text(ONE)
    own = "from base_of_test_loading import One\nclass Mine(One):\n    pass\n"
    assert choose(tmp_path, own).__name__ == "Mine"
    assert choose(tmp_path, "from base_of_test_loading import One\n").__name__ == "One"


def test_the_folder_is_importable_only_meanwhile(tmp_path: Path) -> None:
    before = list(sys.path)
    with importable([tmp_path, tmp_path / "further"]):
        assert (sys.path[0], sys.path[-1]) == (str(tmp_path), str(tmp_path / "further"))
    assert sys.path == before


def test_a_module_that_was_written_a_moment_ago_is_found(tmp_path: Path) -> None:
    with importable([tmp_path]):
        assert importlib.util.find_spec("new_of_test_loading") is None
    times = tmp_path.stat()
    (tmp_path / "new_of_test_loading.py").write_text("")
    os.utime(tmp_path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as on a file system with coarse times
    with importable([tmp_path]):
        assert importlib.util.find_spec("new_of_test_loading") is not None


def test_a_file_that_was_changed_is_shown_as_it_is_now(tmp_path: Path) -> None:
    for text in ("x = 1", "y = 123"):
        path, module = load(tmp_path, text)
        assert module.__file__ == str(path)  # type: ignore[attr-defined]
        assert linecache.getline(str(path), 1) == f"{text}\n"


def test_dataclasses_of_the_file_find_their_module(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nimport dataclasses, typing\n"
    text += "@dataclasses.dataclass\nclass Point:\n    x: typing.ClassVar[int] = 1\n    y: int = 2\n"
    _, module = load(tmp_path, text)
    assert module.Point().y == 2  # type: ignore[attr-defined]
    assert module.__name__ == "artiq_run_experiment"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = (\n", ":1: syntax error"),
        ("a\nb c\n", ":2: syntax error"),
        ("# coding: nonsense\nx = 1\n", ":1: syntax error: unknown encoding"),
        ("\0", "is no Python|syntax error|null bytes"),
    ],
)
def test_a_file_that_is_no_python_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ExperimentFileError, match=said):
        load(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExperimentFileError, match="no such experiment file"):
        import_file(tmp_path / "absent.py")
    with pytest.raises(ExperimentFileError, match="cannot be read"):
        import_file(tmp_path)


def test_what_the_file_raises_comes_through(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        load(tmp_path, "1 / 0\n")
    assert "artiq_run_experiment" not in sys.modules


@pytest.mark.parametrize("name", ["schemas", "devicedb", "rexec"])
def test_a_module_that_bears_the_name_of_one_of_our_packages_is_refused(tmp_path: Path, name: str) -> None:
    check_names(tmp_path)
    (tmp_path / name).mkdir()
    check_names(tmp_path)  # a folder of data is none
    (tmp_path / f"{name}.py").write_text("")
    with pytest.raises(ExperimentFileError, match=f"{name}.py hides a package of this program"):
        check_names(tmp_path)


def test_our_own_repository_is_no_such_folder() -> None:
    check_names(Path(__file__).parents[2])


def test_a_clone_beside_the_installed_packages_is_no_such_folder(tmp_path: Path) -> None:
    for name in ("schemas", "devicedb", "rexec"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    check_names(tmp_path)
    (tmp_path / "rexec" / "__init__.py").unlink()
    with pytest.raises(ExperimentFileError, match="hides a package"):
        check_names(tmp_path)


def test_no_future_statement_of_ours_holds_in_the_file(tmp_path: Path) -> None:
    _, module = load(tmp_path, "def plain(x: int): pass\n")
    assert module.plain.__annotations__ == {"x": int}  # type: ignore[attr-defined]


def test_abstract_bases_are_no_experiments(tmp_path: Path) -> None:
    _, module = load(tmp_path, "from rexec.experiment import *\n" + TWO)
    assert list(experiment_classes(module)) == ["One", "Two"]  # type: ignore[arg-type]


def test_experiments_of_an_artiq_that_is_loaded_are_experiments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs: Any = ModuleType("artiq.language.environment")
    theirs.Experiment = type("Experiment", (), {})
    theirs.EnvExperiment = type("EnvExperiment", (theirs.Experiment,), {})
    monkeypatch.setitem(sys.modules, theirs.__name__, theirs)
    text = (
        "import sys\ntheirs = sys.modules['artiq.language.environment']\n"
        "Experiment, EnvExperiment = theirs.Experiment, theirs.EnvExperiment\n"
        "class Theirs(EnvExperiment):\n    pass\n"
    )
    _, module = load(tmp_path, text + ONE)
    assert list(experiment_classes(module)) == ["Theirs", "One"]  # type: ignore[arg-type]
    assert choose(tmp_path, text).__name__ == "Theirs"

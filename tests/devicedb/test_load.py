"""A device database is executed as ARTIQ does, and leaves this process as it was."""

import sys
from pathlib import Path

import pytest

import schemas  # noqa: F401  # loaded, as in a process that has resolved a name
from devicedb import DatabaseLoadError, from_dict, load_file
from devicedb.load import siblings_importable
from devicedb.sandbox.run import run_file


def write(folder: Path, text: str, name: str = "device_db.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def error_of(path: Path) -> DatabaseLoadError:
    with pytest.raises(DatabaseLoadError) as caught:
        load_file(path)
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_global_device_db_is_what_counts(tmp_path: Path) -> None:
    path = write(tmp_path, "device_db = {}\ndevice_db['a'] = {'type': 'dummy'}\ndevice_db |= {'b': 'a'}\n")
    database = load_file(path)
    assert database.raw == {"a": {"type": "dummy"}, "b": "a"}
    assert database.origin == str(path)
    assert ("a" in database, len(database), list(database)) == (True, 2, ["a", "b"])


def test_siblings_are_imported_and_do_not_leak_between_databases(tmp_path: Path) -> None:
    for lab in ("one", "two"):
        write(tmp_path / lab, f"NAME = {lab!r}\n", "names.py")
        write(tmp_path / lab, "from . import inner\nINNER = inner.NAME\n", "parts/__init__.py")
        write(tmp_path / lab, f"NAME = {lab!r}\n", "parts/inner.py")
        write(tmp_path / lab, "import names, parts\ndevice_db = {names.NAME: parts.INNER}\n")
    path_before, modules_before = list(sys.path), set(sys.modules)
    found = [load_file(tmp_path / lab / "device_db.py").raw for lab in ("one", "two")]
    assert found == [{"one": "one"}, {"two": "two"}]
    assert sys.path == path_before
    assert not {"names", "parts", "parts.inner"} & (set(sys.modules) - modules_before)


@pytest.mark.parametrize("name", ["schemas", "devicedb"])
def test_a_sibling_may_bear_the_name_of_one_of_our_packages(tmp_path: Path, name: str) -> None:
    ours = sys.modules[name]
    write(tmp_path, "HOST = 'lab'\n", f"{name}.py")
    write(tmp_path, "raise AssertionError\n", "unused/devicedb.py")
    path = write(tmp_path, f"import {name}\ndevice_db = {{'a': {name}.HOST}}\n")
    assert load_file(path).raw == {"a": "lab"}
    assert sys.modules[name] is ours
    assert not hasattr(ours, "HOST")


@pytest.mark.parametrize("name", ["schemas", "devicedb"])
def test_a_sibling_may_bear_the_name_of_one_of_our_packages_in_the_check_too(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path, "HOST = 'lab'\n", f"{name}.py")
    path = write(tmp_path, f"import {name}\ndevice_db = {{'a': {name}.HOST}}\n")
    facts = run_file(path)
    assert (facts.ended, facts.error, facts.is_traced) == ("finished", None, True)


def test_a_module_that_the_file_put_on_the_path_itself_does_not_leak(tmp_path: Path) -> None:
    write(tmp_path, "PORT = 1\n", "common/lab_ports_of_test.py")
    source = "import sys\nsys.path.append({!r})\nimport lab_ports_of_test\ndevice_db = {{}}\n"
    load_file(write(tmp_path, source.format(str(tmp_path / "common"))))
    assert "lab_ports_of_test" not in sys.modules


def test_a_failing_file_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, "import nowhere_to_be_found\n", "names.py")
    path_before, flag = list(sys.path), sys.dont_write_bytecode
    error_of(write(tmp_path, "import names\n"))
    assert (sys.path, sys.dont_write_bytecode) == (path_before, flag)
    assert "names" not in sys.modules


def test_a_changed_sibling_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path, "import names\ndevice_db = {'a': names.NAME}\n")
    for name in ("x", "y"):
        write(tmp_path, f"NAME = {name!r}\n", "names.py")
        assert load_file(path).raw == {"a": name}
    assert not (tmp_path / "__pycache__").exists()


def test_the_file_knows_where_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, "device_db = {__file__: __name__}\n")
    assert load_file(path).raw == {str(path): "device_db"}


def test_a_coding_cookie_is_heeded(tmp_path: Path) -> None:
    path = tmp_path / "device_db.py"
    path.write_bytes("# -*- coding: latin-1 -*-\ndevice_db = {'µ': 'ä'}\n".encode("latin-1"))
    assert load_file(path).raw == {"µ": "ä"}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("device_db = {\n", 1, "never closed"),
        ("\nimport nowhere_to_be_found.x\n", 2, "'nowhere_to_be_found', which is not there"),
        ("\n\nport = {}['x']\n", 3, "KeyError: 'x'"),
        ("import json\n\njson.loads('{')\n", 3, "JSONDecodeError"),
        ("import sys\nsys.exit(3)\n", 2, "sys.exit(3)"),
        ("raise ValueError\n", 1, "raises ValueError"),
        ("devicedb = {}\n", None, "Did you mean 'devicedb'?"),
        ("device_db = []\n", None, "of type list, it must be a dict"),
        ("device_db = {3: 'a'}\n", None, "the key 3 of `device_db` is of type int"),
        ("device_db = {}\0\n", None, "null bytes"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(
    tmp_path: Path, text: str, line: int | None, said: str
) -> None:
    path = write(tmp_path, text)
    error = error_of(path)
    assert (error.origin, error.line) == (str(path), line)
    assert said in str(error)


def test_an_error_in_a_sibling_has_the_line_of_the_sibling(tmp_path: Path) -> None:
    sibling = write(tmp_path, "\n\nPORT = 1 / 0\n", "ports.py")
    error = error_of(write(tmp_path, "import ports\n"))
    assert (error.origin, error.line) == (str(sibling), 3)
    broken = write(tmp_path, "PORT = (\n", "ports.py")
    error = error_of(write(tmp_path, "import ports\n"))
    assert (error.origin, error.line) == (str(broken), 1)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "there is no such file" in str(error_of(tmp_path / "device_db.py"))


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert "cannot be read" in str(error_of(tmp_path))


def test_a_dict_from_elsewhere_is_checked_too() -> None:
    assert from_dict({"a": "b"}, "master ::1:3251").origin == "master ::1:3251"
    with pytest.raises(DatabaseLoadError, match="master ::1:3251: `device_db` is of type NoneType"):
        from_dict(None, "master ::1:3251")


def test_every_public_name_is_there_on_first_use() -> None:
    import devicedb

    assert set(devicedb.__all__) <= set(dir(devicedb))
    assert all(getattr(devicedb, name) is not None for name in devicedb.__all__)


def test_a_thread_that_imports_meanwhile_skips_no_entry_of_the_path(tmp_path: Path) -> None:
    path = list(sys.path)
    importing = iter(sys.path)  # as the import system goes through it
    with siblings_importable(tmp_path):
        assert sys.path[0] == str(tmp_path)
        seen = [next(importing)]
    assert [*seen, *importing] == path


def test_a_thread_that_imports_while_the_finders_are_gone_through_stops_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finder:
        """A finder whose table grows while it is gone through, as the system's does when another thread imports."""

        asked = 0

        def find_spec(self, *_: object) -> None:
            return None

        def invalidate_caches(self) -> None:
            self.asked += 1
            if self.asked < 3:
                table = {"one": 1}
                for each in table:
                    table[each + each] = 2

    finder = Finder()
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    assert load_file(write(tmp_path, "device_db = {'a': {'type': 'dummy'}}\n")).raw == {
        "a": {"type": "dummy"}
    }
    assert finder.asked == 3

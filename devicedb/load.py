"""Executes a `device_db.py` as ARTIQ does and returns its dict; this process stays as it was."""

import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final

from devicedb.errors import DatabaseLoadError
from devicedb.suggest import did_you_mean
from devicedb.whole_file import read_whole

_LOCK: Final = threading.RLock()
"""Loads one database at a time, because `sys.path` and `sys.modules` belong to the process."""

_ATTEMPTS: Final = 100
"""How often `look_again` begins anew beside threads that import."""


def read_source(path: Path, shown: str = "") -> bytes:
    """Return the bytes of a device database.

    Args:
        path: The file.
        shown: What errors call it, if not by its path.

    Raises:
        DatabaseLoadError: It cannot be read.

    """
    try:
        return read_whole(path)
    except FileNotFoundError:
        raise DatabaseLoadError(
            shown or str(path), None, "there is no such file. Name the device database with --device-db FILE"
        ) from None
    except OSError as error:
        raise DatabaseLoadError(
            shown or str(path), None, f"cannot be read: {error.strerror or error}"
        ) from None


def execute(path: Path) -> dict[str, Any]:
    """Execute a device database file and return its global `device_db`.

    Its folder is first on `sys.path` meanwhile, so that it can import its siblings. These leave no trace in
    `sys.modules`, and a sibling may bear the name of a module that is loaded here already.

    Raises:
        DatabaseLoadError: With file and line, whatever the file does.

    """
    path = path.absolute()
    source = read_source(path)
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise _load_error(path, error) from None
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    with _LOCK, siblings_importable(path.parent):
        try:
            exec(code, module.__dict__)  # noqa: S102  # a device database is a program
        except (Exception, SystemExit) as error:
            raise _load_error(path, error) from error
    return checked(vars(module), str(path))


def checked(namespace: dict[str, Any], origin: str) -> dict[str, Any]:
    """Return `device_db` of an executed file; DatabaseLoadError where it is missing or no dict of names."""
    if "device_db" not in namespace:
        hint = did_you_mean("device_db", [name for name in namespace if not name.startswith("__")])
        raise DatabaseLoadError(origin, None, f"defines no global dict `device_db`.{hint}")
    return checked_dict(namespace["device_db"], origin)


def checked_dict(raw: object, origin: str) -> dict[str, Any]:
    """Return `raw` if it is a dict whose keys are all str; DatabaseLoadError otherwise."""
    if not isinstance(raw, dict):
        raise DatabaseLoadError(
            origin,
            None,
            f"`device_db` is of type {type(raw).__name__}, it must be a dict: {{name: entry, ...}}",
        )
    for key in raw:
        if not isinstance(key, str):
            raise DatabaseLoadError(
                origin,
                None,
                f"the key {key!r} of `device_db` is of type {type(key).__name__}; names are strings",
            )
    return raw


@contextmanager
def siblings_importable(folder: Path) -> Iterator[None]:
    """Put `folder` first on `sys.path`; afterwards `sys.path` and `sys.modules` are as they were.

    Another thread may be importing meanwhile, which iterates over the list `sys.path`: an entry taken out of that list
    would make it skip the next one, and not find an installed package. So `sys.path` is another list meanwhile.

    Modules of the folder that bear the name of a loaded one (but not of the standard library, of which parts
    are always loaded) are importable meanwhile. Packages that were installed, not siblings, stay loaded:
    extension modules cannot be loaded twice.
    """
    before = dict(sys.modules)
    path_before = sys.path
    write_bytecode = sys.dont_write_bytecode
    names = _names_in(folder) - sys.stdlib_module_names
    stashed = [name for name in before if name.partition(".")[0] in names]

    def restore() -> None:
        roots = {os.path.realpath(each) for each in {str(folder), *sys.path} - set(path_before)}
        roots.add(os.path.realpath(folder))
        for name in [each for each in list(sys.modules) if each not in before or each in stashed]:
            top = sys.modules.get(name.partition(".")[0])
            if top is None or _root_of(top) in roots:
                sys.modules.pop(name, None)
        for name in stashed:
            sys.modules[name] = before[name]
        sys.path = path_before
        sys.dont_write_bytecode = write_bytecode

    try:
        for name in stashed:
            del sys.modules[name]
        sys.path = [str(folder), *path_before]
        # No cache: siblings may change twice within the resolution of a time stamp.
        sys.dont_write_bytecode = True
        look_again()
        yield
    finally:
        try:
            restore()
        except BaseException:  # Ctrl-C: every step can be done twice
            restore()
            raise


def look_again() -> None:
    """Have imports look again at what folders hold (`importlib.invalidate_caches`).

    That function goes through a table to which another thread adds when it imports; it is then called once more.
    """
    for _ in range(_ATTEMPTS):
        try:
            importlib.invalidate_caches()
        except RuntimeError:  # "dictionary changed size during iteration"
            continue
        return
    importlib.invalidate_caches()


def _names_in(folder: Path) -> set[str]:
    """Names that can be imported from a folder."""
    try:
        found = list(os.scandir(folder))
    except OSError:
        return set()
    return {each.name.partition(".")[0] for each in found if each.is_dir() or each.name.endswith(".py")}


def _root_of(module: ModuleType) -> str | None:
    """The folder on `sys.path` in which a top-level module was found."""
    where = getattr(module, "__path__", None)
    file = next(iter(where), None) if where is not None else getattr(module, "__file__", None)
    return os.path.realpath(os.path.dirname(file)) if isinstance(file, str) else None


def _load_error(path: Path, error: BaseException) -> DatabaseLoadError:
    """Return the exception as one line, at the innermost line of the laboratory's own code."""
    if isinstance(error, SyntaxError):
        return DatabaseLoadError(error.filename or str(path), error.lineno, f"syntax error: {error.msg}")
    if isinstance(error, ValueError) and error.__traceback__ is None:
        return DatabaseLoadError(str(path), None, f"cannot be compiled: {error}")
    where, line = raised_at(error.__traceback__, path)
    if isinstance(error, SystemExit):
        problem = f"calls sys.exit({error.code!r}). A device database only defines a dict"
    elif isinstance(error, ModuleNotFoundError) and error.name is not None:
        problem = (
            f"imports {error.name!r}, which is not there. Install it, or put "
            f"{error.name.partition('.')[0]}.py beside the device database"
        )
    else:
        text = " ".join(str(error).split())
        problem = f"raises {type(error).__name__}: {text}" if text else f"raises {type(error).__name__}"
    return DatabaseLoadError(where, line, problem)


def raised_at(traceback: TracebackType | None, path: Path) -> tuple[str, int | None]:
    """Return file and line of the innermost frame that is in the folder of `path` (or in `path` itself)."""
    where, line = str(path), None
    folder = str(path.parent) + os.sep
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        inside = file.startswith(folder) and "site-packages" not in file[len(folder) :]
        if file == str(path) or inside:
            where, line = file, traceback.tb_lineno
        traceback = traceback.tb_next
    return where, line

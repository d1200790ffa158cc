"""The child process of `devicedb check --construct`: builds local devices as ARTIQ's device manager does.

Runs in an interpreter that has ARTIQ, perhaps without this toolkit: `PYTHON construct_child.py < request > answer`.
It imports the standard library only. Request and answer are one line each, read with `ast.literal_eval` and `json`.
"""

import ast
import importlib
import json
import os
import sys
import traceback
from typing import Any

VIRTUAL = ("scheduler", "ccb")
ARTIQ = "artiq."


class UnbuiltDevice:
    """Stands for a device that is not constructed. Every operation succeeds, so that only real devices fail."""

    def __init__(self, name: str, touched: "set[str]") -> None:
        self.__dict__.update(_name=name, _touched=touched)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        self._touched.add(self._name)
        return UnbuiltDevice(self._name, self._touched)

    def _any(self, *_: Any, **__: Any) -> Any:
        self._touched.add(self._name)
        return UnbuiltDevice(self._name, self._touched)

    __call__ = __getitem__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _any
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __pow__ = __neg__ = _any
    __lshift__ = __rshift__ = __and__ = __or__ = __xor__ = __abs__ = _any

    def _one(self, *_: Any) -> int:
        self._touched.add(self._name)
        return 1

    __int__ = __index__ = __len__ = _one

    def __float__(self) -> float:
        return float(self._one())

    def _true(self, *_: Any) -> bool:
        self._touched.add(self._name)
        return True

    __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __contains__ = _true

    def __iter__(self) -> Any:
        return iter([self._any()])


class DummyDevice:
    """What an entry of type `dummy` stands for."""


class CircleError(Exception):
    """Devices need each other."""


class Manager:
    """A device manager that constructs local devices and puts a stand-in in the place of all others."""

    def __init__(self, database: "dict[str, Any]", everything: bool) -> None:
        self.database = database
        self.everything = everything
        self.made: dict[str, Any] = {}
        self.failed: dict[str, BaseException] = {}
        self.active: list[str] = []
        self.touched: dict[str, set[str]] = {}

    def get_device_db(self) -> "dict[str, Any]":
        """Return the whole database."""
        return self.database

    def get_desc(self, name: str) -> Any:
        """Return the entry that a name leads to."""
        return self.database[self.resolved(name)]

    def resolved(self, name: str) -> str:
        """Return the name of the entry that a name leads to."""
        seen = set()
        while isinstance(self.database[name], str):
            if name in seen:
                raise CircleError(f"alias {name!r} leads back to itself")
            seen.add(name)
            name = self.database[name]
        return name

    def get(self, name: str) -> Any:
        """Return a device; it is constructed once."""
        touched = self.touched[self.active[-1]] if self.active else set()
        if name in VIRTUAL:
            return UnbuiltDevice(name, touched)
        name = self.resolved(name)
        if name in self.made:
            found = self.made[name]
            touched |= self.touched.get(name, set())
            return found
        if name in self.failed:
            raise self.failed[name]
        entry = self.database[name]
        kind = entry["type"]
        if kind == "dummy":
            return DummyDevice()
        if kind != "local" or not (self.everything or str(entry["module"]).startswith(ARTIQ)):
            return UnbuiltDevice(name, touched)
        if name in self.active:
            raise CircleError(" -> ".join([*self.active[self.active.index(name) :], name]))
        self.active.append(name)
        self.touched[name] = set()
        try:
            module = importlib.import_module(entry["module"])
            self.made[name] = getattr(module, entry["class"])(self, **entry.get("arguments", {}))
        except CircleError:
            raise
        except BaseException as error:
            self.failed[name] = error
            raise
        finally:
            self.active.pop()
            touched |= self.touched[name]
        return self.made[name]


def describe(error: BaseException) -> "dict[str, Any]":
    """Return kind and text of an exception; the line that raised where it has no text, as an assertion."""
    frames = traceback.extract_tb(error.__traceback__)
    where = next((f for f in reversed(frames) if f.filename != __file__), None)
    try:
        text = " ".join(str(error).split())[:300]
    except Exception:
        text = ""
    if not text and where is not None and where.line:
        text = where.line.strip()[:200]
    return {"kind": type(error).__name__, "text": text, "circle": isinstance(error, CircleError)}


def construct(database: "dict[str, Any]", names: "list[str]", everything: bool) -> "dict[str, Any]":
    """Construct devices; return the failures by name, and the names of failures that a stand-in may have caused.

    A device that fails because another one fails is not listed: the other one is.
    """
    manager = Manager(database, everything)
    errors: dict[str, Any] = {}
    uncertain: list[str] = []
    seen: dict[int, str] = {}
    for name in names:
        try:
            manager.get(name)
        except BaseException as error:
            root = seen.setdefault(id(error), name)
            deeper = next((n for n, e in manager.failed.items() if e is error), name)
            if isinstance(error, CircleError):
                if name in str(error).split(" -> "):
                    errors[name] = describe(error)
            elif root == name and deeper != name and deeper in names:
                errors[deeper] = describe(error)
            elif deeper == name:
                errors[name] = describe(error)
            if manager.touched.get(name) or manager.touched.get(deeper):
                uncertain.append(name)
                uncertain.append(deeper)
    unsure = {name for name in uncertain if name in errors}
    return {
        "errors": {name: error for name, error in errors.items() if name not in unsure},
        "uncertain": sorted(unsure),
    }


def _refuse(event: str, arguments: Any) -> None:
    """Audit hook: no driver reaches the hardware or starts a program."""
    if event in ("socket.connect", "socket.sendto", "subprocess.Popen", "os.system", "os.fork"):
        raise OSError(f"devicedb check --construct allows no {event}")


def main() -> None:
    """Read the request, construct, write the answer, end."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the answer must not be mixed with what drivers print
    request = ast.literal_eval(sys.stdin.read())
    sys.path[:1] = request["path"]  # in the place of this file's folder
    sys.addaudithook(_refuse)
    try:
        importlib.import_module("artiq")
        found = True
    except Exception:
        found = False
    result = construct(request["database"], request["names"], request["everything"]) if found else {}
    answer.write(json.dumps({**result, "artiq": found}) + "\n")
    answer.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

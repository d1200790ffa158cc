"""What a result file says of its run beside the data: the identity, and single values at our names."""

import functools
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import h5py

from rexec.results.hdf5.inside import FOREIGN_ERRORS, member, outside
from rexec.results.hdf5.values import pyon_of, value_of
from schemas import RunIdentity

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_ARTIQ_FIELDS: Final = ("rid", "start_time", "run_time", "artiq_version", "expid")
_PYON_FIELDS: Final = frozenset(
    {"expid", "user_arguments", "git", "device_db", "devices_used", "versions", "command", "simulated"}
)


def identity_of(file: h5py.File) -> dict[str, Any]:
    """Return what is known of the run; the names are those of `schemas.RunIdentity`.

    What cannot be read, or is not what it should be, is left out.
    """
    ours = member(file, "rexec", h5py.Group)
    paths = {name: name for name in _ARTIQ_FIELDS} | {name: f"rexec/{name}" for name in ours or ()}
    found = {
        name: _sources(file) if name == "sources" else _field(file, name, path)
        for name, path in paths.items()
    }
    return {
        name: value for name, value in found.items() if value is not None and _is_as_expected(name, value)
    }


def scalar(file: h5py.File, path: str) -> Any:
    """Return the single value at a path; None: there is none that can be read."""
    node = member(file, path, h5py.Dataset)
    try:
        if node is None or node.size not in {0, 1} or outside(node) is not None:
            return None
        value = value_of(node)
        return value.item() if hasattr(value, "item") else value
    except FOREIGN_ERRORS:
        return None


def lines(file: h5py.File, path: str) -> list[str]:
    """Return the lines of the text at a path; none where there is no text."""
    text = scalar(file, path)
    return text.splitlines() if isinstance(text, str) else []


def _field(file: h5py.File, name: str, path: str) -> Any:
    value = scalar(file, path)
    if name not in _PYON_FIELDS or not isinstance(value, str | bytes):
        return value
    try:
        return pyon_of(value)
    except FOREIGN_ERRORS:
        return None


def _sources(file: h5py.File) -> dict[str, str]:
    group = member(file, "rexec/sources", h5py.Group)
    texts = {digest: scalar(file, f"rexec/sources/{digest}") for digest in group or ()}
    return {digest: text for digest, text in texts.items() if isinstance(text, str)}


@functools.cache
def _checker(name: str) -> "TypeAdapter[Any] | None":
    from pydantic import TypeAdapter  # heavy: a run imports this module, but checks nothing

    hint = get_type_hints(RunIdentity).get(name)
    return None if hint is None else TypeAdapter(hint)


def _is_as_expected(name: str, value: Any) -> bool:
    checker = _checker(name)
    try:
        return checker is None or checker.validate_python(value) is not None
    except ValueError:  # of pydantic, too
        return False

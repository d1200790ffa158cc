"""Reads the facts of one result file, whoever wrote it, in bounded time: what the catalogue needs and no more."""

import stat
from collections.abc import Container
from pathlib import Path
from typing import Any, Final

from devicedb.opening import once_free
from rexec.catalogue.facts import NamedValue, RunFacts
from rexec.catalogue.journals import facts_of_journal
from rexec.catalogue.members import (
    attribute,
    attribute_names,
    dataset,
    datasets_below,
    inner,
    names,
    opened,
    single,
    type_of,
    value,
)
from rexec.catalogue.plain_values import (
    arguments_of,
    finite,
    mapping,
    moment_of,
    named_value,
    one_line,
    string,
    strings,
    text_of,
)
from rexec.results.errors import hint, reason
from rexec.results.hdf5.inside import FOREIGN_ERRORS
from rexec.results.hdf5.values import pyon_of

MOST_SCALARS: Final = 1_000
"""Datasets of a file whose values are looked at."""

_ODD_NAME: Final = " (value)"
"""End of the path of a dataset whose name HDF5 does not take, before any quotes; an attribute has the name."""


def facts_of(path: Path) -> RunFacts:
    """Return the facts of a result file, or of the journal that stands for it. Never raises for what is in them."""
    try:
        return once_free(lambda: read_facts(path))
    except OSError as error:
        return refused_facts(path, error)


def refused_facts(path: Path, error: OSError) -> RunFacts:
    """Return the facts of a file that the system refuses to read."""
    try:
        written = path.stat().st_mtime
    except OSError:
        written = 0.0
    return RunFacts("unreadable", written, problem=one_line(reason(error) + hint(error)))


def read_facts(path: Path) -> RunFacts:
    """Return the facts of a result file, or of the journal that stands for it, also of one that is damaged.

    Raises:
        OSError: The system refuses to read it, perhaps for the moment: nothing in the file shows that, or its end.

    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return facts_of_journal(path)
    written = found.st_mtime
    if not stat.S_ISREG(found.st_mode):
        return RunFacts("unreadable", written, problem="it is no regular file")
    try:
        with opened(path) as root:
            return _of_file(root, written)
    except OSError as error:
        if error.errno:
            raise
        return RunFacts("unreadable", written, problem=one_line(reason(error)))
    except FOREIGN_ERRORS as error:
        return RunFacts("unreadable", written, problem=one_line(f"{type(error).__name__}: {error}"))


def _of_file(root: Any, written: float) -> RunFacts:
    there = names(root)
    ours = inner(root, "rexec") if "rexec" in there else None
    if ours is not None:
        return _ours(root, there, ours, written)
    datasets = inner(root, "datasets") if "datasets" in there else None
    if datasets is None:
        return RunFacts("foreign", written, datasets=_datasets(root))
    rid, start = _number(root, there, "rid"), _number(root, there, "start_time")
    expid = _expid(root, there)
    return RunFacts(
        "artiq_run" if rid is None and not expid else "artiq",
        moment_of(start, written),
        rid=None if rid is None else int(rid),
        class_name=string(expid.get("class_name")),
        file=string(expid.get("file")),
        run_time=_number(root, there, "run_time"),
        simulated="simulated" in attribute_names(root),
        arguments=arguments_of(expid),
        datasets=_datasets(datasets),
    )


def _number(root: Any, there: Container[str], name: str) -> Any:
    """Return a number of the file itself: a link may lead into another one."""
    return finite(value(root, name)) if name in there else None


def _expid(root: Any, there: Container[str]) -> dict[str, Any]:
    return mapping(_pyon(root, "expid")) if "expid" in there else {}


def _ours(root: Any, there: Container[str], ours: Any, written: float) -> RunFacts:
    inside = names(ours)

    def text(name: str) -> str:
        return text_of(value(ours, name)) if name in inside else ""

    def plain(name: str) -> Any:
        return _pyon(ours, name) if name in inside else None

    attributes = attribute_names(ours)

    def said(name: str) -> Any:
        return attribute(ours, name) if name in attributes else None

    expid, git, recording = _expid(root, there), mapping(plain("git")), mapping(plain("recording"))
    mode = recording.get("mode")
    status = text_of(said("status"))
    datasets = inner(root, "datasets") if "datasets" in there else None
    rid = _number(root, there, "rid")
    sources = inner(ours, "sources") if "sources" in inside else None
    dirty = git.get("dirty")
    return RunFacts(
        mode if mode in ("record", "mirror") else "run",
        moment_of(_number(root, there, "start_time"), written),
        rid=None if rid is None or recording else int(rid),
        class_name=text("class_name") or string(expid.get("class_name")),
        status="unfinished" if status == "running" else status or "unknown",
        file=text("file") or string(expid.get("file")),
        run_time=_number(root, there, "run_time"),
        last_change=finite(said("last_change")),
        person=text_of(said("person")),
        person_known_by=text_of(said("person_known_by")),
        host=text_of(said("machine")) or text("host"),
        program=text_of(said("program")),
        database=text("device_db_sha256"),
        commit=string(git.get("commit")),
        branch=string(git.get("branch")),
        dirty=dirty if isinstance(dirty, bool) else None,
        simulated="simulated" in attribute_names(root) or bool(plain("simulated")),
        codes=() if sources is None else tuple(names(sources)),
        devices=strings(plain("devices_used")),
        arguments=arguments_of(expid),
        datasets={} if datasets is None else _datasets(datasets),
        problem=one_line(text("error")),
    )


def _datasets(group: Any) -> dict[str, NamedValue]:
    named: dict[str, NamedValue] = {}
    for number, path in enumerate(datasets_below(group)):
        key, found = path, NamedValue()
        if number < MOST_SCALARS or _is_odd(path):
            try:
                key, found = _dataset(group, path)
            except FOREIGN_ERRORS:
                found = NamedValue(None, "unreadable")
        named[key] = found
    return named


def _dataset(group: Any, path: str) -> tuple[str, NamedValue]:
    node = dataset(group, path)
    key = path
    if _is_odd(path):
        given = pyon_of(attribute(node, "rexec_key"))
        key = given if isinstance(given, str) else path
    if node.shape is None:
        return key, NamedValue(None, "empty")
    if node.shape != ():
        return key, NamedValue(None, type_of(node))
    there = attribute_names(node)
    found = None if "rexec_form" in there else single(node)
    if found is None:
        return key, NamedValue(None, type_of(node))
    metadata: dict[str, Any] = {
        name: _plain(attribute(node, name)) for name in ("unit", "scale") if name in there
    }
    return key, named_value(found, metadata)


def _plain(found: Any) -> Any:
    return found.decode("utf-8", "backslashreplace") if isinstance(found, bytes) else found


def _is_odd(path: str) -> bool:
    return path.rstrip("'").endswith(_ODD_NAME)


def _pyon(group: Any, name: str) -> Any:
    raw = value(group, name)
    if not isinstance(raw, str | bytes):
        return None
    try:
        return pyon_of(raw)
    except FOREIGN_ERRORS:
        return None

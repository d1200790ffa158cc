"""Reads the facts of a run that has a journal, but no file yet."""

import stat
from pathlib import Path
from typing import Any, Final

from rexec.catalogue.facts import NamedValue, RunFacts
from rexec.catalogue.plain_values import (
    arguments_of,
    finite,
    mapping,
    moment_of,
    named_value,
    one_line,
    string,
    strings,
)
from rexec.results.errors import JournalDamaged
from rexec.results.journal.reader import JournalReader
from rexec.results.journal.records import Kind
from rexec.results.layout import journal_path

_MOST_READ: Final = 1 << 18
"""Bytes of a journal that are read."""

_MOST_DATASETS: Final = 10_000


def facts_of_journal(path: Path) -> RunFacts:
    """Return the facts of a run that has a journal, but no file yet; its datasets as far as a piece of it tells.

    Raises:
        OSError: The system refuses to read it.

    """
    journal = journal_path(path)
    found = journal.stat()
    written = found.st_mtime
    if not stat.S_ISREG(found.st_mode):
        return RunFacts("unreadable", written, problem="its journal is no regular file")
    try:
        reader = JournalReader(journal)
    except JournalDamaged as error:
        return RunFacts("unreadable", written, problem=one_line(error))
    identity: dict[str, Any] = {}
    datasets: dict[str, NamedValue] = {}
    with reader:
        for record in reader.records(_MOST_READ):
            if record.kind is Kind.IDENTITY and isinstance(record.value, dict):
                identity |= record.value
            elif record.kind is Kind.SET and record.archive and len(datasets) < _MOST_DATASETS:
                metadata = record.metadata if isinstance(record.metadata, dict) else {}
                datasets[record.key] = named_value(record.value, metadata)
            elif record.kind is Kind.DELETE:
                datasets.pop(record.key, None)
            elif record.kind in (Kind.APPEND, Kind.MUTATE) and record.key in datasets:
                datasets[record.key] = NamedValue(None, "an array")
    git, expid, recording = (mapping(identity.get(name)) for name in ("git", "expid", "recording"))
    rid, dirty = identity.get("rid"), git.get("dirty")
    mode = recording.get("mode")
    return RunFacts(
        mode if mode in ("record", "mirror") else "run",
        moment_of(finite(identity.get("start_time")), written),
        rid=rid if type(rid) is int and mode is None else None,
        class_name=string(identity.get("class_name")),
        status="unfinished",
        file=string(identity.get("file")),
        run_time=finite(identity.get("run_time")),
        person=string(identity.get("person")),
        person_known_by=string(identity.get("person_known_by")),
        host=string(identity.get("machine")) or string(identity.get("host")),
        program=string(identity.get("program")),
        database=string(identity.get("device_db_sha256")),
        commit=string(git.get("commit")),
        branch=string(git.get("branch")),
        dirty=dirty if isinstance(dirty, bool) else None,
        simulated=bool(identity.get("simulated")),
        codes=strings(list(identity.get("sources") or ())),
        devices=strings(identity.get("devices_used")),
        arguments=arguments_of(expid),
        datasets=datasets,
    )

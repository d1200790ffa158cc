"""The index of a folder of results: what saves reading the result files again, and is never the truth."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rexec.catalogue import schema
from rexec.catalogue.facts import RunFacts
from rexec.catalogue.index_file import IndexFile
from rexec.catalogue.listing import FileSignature, shown_path, stored_path
from rexec.catalogue.notes import RunNotes
from rexec.catalogue.schema import COLUMNS

INDEX_NAME: Final = ".index.sqlite"

_MOST_NAMES: Final = 100_000
"""Names whose numbers are remembered."""


class Held(NamedTuple):
    """What the index holds of one file, to compare it with.

    Attributes:
        run: Its number in the index.
        folder: Number of its folder.
        name: Its name.
        signature: Its signature when it was read.
        live: "running" or "killed", or "".

    """

    run: int
    folder: int
    name: str
    signature: FileSignature
    live: str


class RunIndex(IndexFile):
    """One index, open; see `IndexFile` for arguments and errors."""

    def __init__(self, path: Path | None) -> None:
        self._names: dict[tuple[str, str], int] = {}
        super().__init__(path)

    def forget(self) -> None:
        """Forget the numbers of names."""
        self._names.clear()

    def held(self, condition: str = "1", parameters: Sequence[Any] = ()) -> Iterator[Held]:
        """Yield what the index holds of the runs for which a condition is true."""
        for run, folder, name, size, mtime, inode, journal, notes, live in self._connection.execute(
            f"SELECT id, folder, name, size, mtime, inode, journal, notes, live FROM run WHERE {condition}",  # noqa: S608
            parameters,
        ):
            yield Held(run, folder, shown_path(name), FileSignature(size, mtime, inode, journal, notes), live)

    def put(
        self,
        folder: int,
        name: str,
        signature: FileSignature,
        facts: RunFacts,
        notes: RunNotes,
        *,
        live: str,
        is_settled: bool,
    ) -> None:
        """Replace the facts of a file. Only within `writing`."""
        encoded = stored_path(name)
        found = self.rows("SELECT id FROM run WHERE folder = ? AND name = ?", (folder, encoded))
        for (old,) in found:
            self.drop(old)
        columns = self._numbered(schema.columns(facts, live))
        fields = (folder, encoded, *signature, int(is_settled), live, *columns)
        marks = ", ".join("?" * len(fields))
        names = f"folder, name, size, mtime, inode, journal, notes, settled, live, {', '.join(COLUMNS)}"
        run = self._connection.execute(f"INSERT INTO run ({names}) VALUES ({marks})", fields).lastrowid  # noqa: S608
        text = facts.as_text()
        tags = json.dumps(notes.tags)
        self._connection.execute(
            "INSERT INTO fact VALUES (?, ?, ?, ?, ?)",
            (run, text, json.dumps(notes.comment), tags, schema.checksum(text, signature, notes)),
        )
        self._connection.execute(
            "INSERT INTO search VALUES (?, ?)", (run, schema.searched(facts, notes, name))
        )
        self._connection.executemany(
            "INSERT INTO value VALUES (?, ?, ?, ?, ?, ?)",
            [
                (self._name(value.section, value.name), run, *value[2:])
                for value in schema.values(facts, notes)
            ],
        )

    def drop(self, run: int) -> None:
        """Forget a file. Only within `writing`."""
        try:
            names = [
                (self._name(value.section, value.name), run) for value in schema.values(*self.facts(run))
            ]
            self._connection.executemany("DELETE FROM value WHERE name = ? AND run = ?", names)
        except ValueError:
            self._connection.execute("DELETE FROM value WHERE run = ?", (run,))
        for statement in (
            "DELETE FROM search WHERE run = ?",
            "DELETE FROM fact WHERE run = ?",
            "DELETE FROM run WHERE id = ?",
        ):
            self._connection.execute(statement, (run,))

    def set_live(self, run: int, live: str) -> None:
        """Store whether a run that has a journal goes on. Only within `writing`."""
        try:
            facts, _ = self.facts(run)
        except ValueError:  # damaged: the next query reads the file again
            self.execute("UPDATE run SET size = -2 WHERE id = ?", (run,))
            return
        status = schema.columns(facts, live)[COLUMNS.index("status")]
        self.execute("UPDATE run SET live = ?, status = ? WHERE id = ?", (live, status, run))

    def facts(self, run: int) -> tuple[RunFacts, RunNotes]:
        """Return what is held of a run.

        Raises:
            ValueError: It is not held, or is damaged.

        """
        for text, comment, tags in self.rows("SELECT text, comment, tags FROM fact WHERE run = ?", (run,)):
            return _read(text, comment, tags)
        raise ValueError(f"run {run} is not in the index")

    def _numbered(self, columns: tuple[Any, ...]) -> list[Any]:
        """Return the columns of a run; texts of the table `name` are replaced by their numbers."""
        return [
            (self._name(column, value) if value else 0) if column in schema.NAMED else value
            for column, value in zip(COLUMNS, columns, strict=True)
        ]

    def _name(self, section: str, text: str) -> int:
        number = self._names.get((section, text))
        if number is None:
            found = self.rows("SELECT id FROM name WHERE section = ? AND text = ?", (section, text))
            if found:
                number = int(found[0][0])
            else:
                number = self.execute("INSERT INTO name (section, text) VALUES (?, ?)", (section, text)) or 0
            if len(self._names) > _MOST_NAMES:
                self._names.clear()
            self._names[section, text] = number
        return number

    def is_sound(self) -> bool:
        """Check each row; damaged ones are removed. False: the file itself is damaged."""
        if self.rows("PRAGMA integrity_check(1)") != [("ok",)]:
            return False
        counts: dict[int, int] = dict(self.rows("SELECT run, count(*) FROM value GROUP BY run"))
        runs = [run for (run,) in self.rows("SELECT id FROM run")]
        with self.writing():  # because the numbers of names are looked up
            bad = [run for run in runs if not self._is_right(run, counts.get(run, 0))]
            for run in bad:
                self.execute("DELETE FROM run WHERE id = ?", (run,))
            for table in ("fact", "search", "value"):
                self.execute(f"DELETE FROM {table} WHERE run NOT IN (SELECT id FROM run)")  # noqa: S608
            self.execute("UPDATE folder SET mtime = NULL")
        self.checked = True
        return True

    def _is_right(self, run: int, count: int) -> bool:
        """Return whether the row of a run, and what was derived from it, is what was written."""
        (held,) = self.held("id = ?", (run,))
        try:
            ((text, comment, tags, search, crc),) = self.rows(
                "SELECT fact.text, comment, tags, search.text, crc FROM fact JOIN search USING (run) WHERE run = ?",
                (run,),
            )
            facts, notes = _read(text, comment, tags)
            if schema.checksum(text, held.signature, notes) != crc:
                return False
            if search != schema.searched(facts, notes, held.name):
                return False
            (found,) = self.rows(f"SELECT {', '.join(COLUMNS)} FROM run WHERE id = ?", (run,))  # noqa: S608
            if list(found) != self._numbered(schema.columns(facts, held.live)):
                return False
            wanted = list(schema.values(facts, notes))
            if len(wanted) != count:
                return False
            for value in wanted:
                cells = self.rows(
                    "SELECT number, value.text, unit, scale FROM value JOIN name ON name.id = value.name "
                    "WHERE run = ? AND section = ? AND name.text = ?",
                    (run, value.section, value.name),
                )
                if cells != [value[2:]]:
                    return False
        except (ValueError, TypeError):
            return False
        return True


def _read(text: str, comment: str, tags: str) -> tuple[RunFacts, RunNotes]:
    try:
        return RunFacts.from_text(text), RunNotes(json.loads(comment), tuple(json.loads(tags)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(str(error)) from error

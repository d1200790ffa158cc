"""The files of an editor: which are open, which of them are databases, and which database an experiment uses."""

import io
import os
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from devicedb.check.databases import defines_database
from devicedb.lsp.analysis import Analysis, Outcome
from devicedb.lsp.buffer import BufferText

NAME = "device_db.py"
"""What the database of an experiment is called."""

_DRIVE: Final = re.compile(r"/[A-Za-z]:")
"""How the path of a URI begins that is on a drive of Windows."""


@dataclass(frozen=True)
class OpenFile:
    """A file that is open in the editor."""

    uri: str
    path: Path
    buffer: BufferText
    version: int | None
    is_database: bool


class Files:
    """Open files, and the analyses of databases, also of those that experiments use without being open.

    Args:
        start: Makes the analysis of a path; `Outcome`s are given to the function.
        deliver: Called with the path and each outcome, in the thread of its analysis.

    """

    def __init__(
        self,
        start: Callable[[Path, Callable[[Outcome], None]], Analysis],
        deliver: Callable[[Path, Outcome], None],
    ) -> None:
        self.start = start
        self.deliver = deliver
        self.folders: list[Path] = []
        """Folders of the workspace."""
        self.encoding = "utf-16"
        self.open: dict[str, OpenFile] = {}
        """By URI."""
        self.spelled: dict[Path, str] = {}
        """The URI of each file that is or was open, as the editor writes it."""
        self.analyses: dict[Path, Analysis] = {}
        self._stamps: dict[Path, tuple[int, int]] = {}

    def put(self, uri: str, text: str, version: int | None) -> OpenFile | None:
        """Take over the text of an open file; None for one that is not on a disk."""
        path = path_of(uri)
        if path is None:
            return None
        known = self.open.get(uri)
        is_database = known.is_database if known is not None else defines_database(path.name, text)
        file = OpenFile(uri, path, BufferText(text, self.encoding), version, is_database)
        self.open[uri] = file
        self.spelled[path] = uri
        if is_database:
            self._stamps.pop(path, None)
            self.analysis(path).update(file.buffer)
        return file

    def close(self, uri: str) -> OpenFile | None:
        """Forget an open file, and its analysis."""
        file = self.open.pop(uri, None)
        if file is not None and (analysis := self.analyses.pop(file.path, None)) is not None:
            analysis.close()
        return file

    def saved(self, uri: str) -> None:
        """Check the databases again that may import the saved file; see whether it has become one itself."""
        saved = self.open.get(uri)
        if saved is not None and not saved.is_database:
            del self.open[uri]
            self.put(uri, saved.buffer.text, saved.version)
        for path, analysis in self.analyses.items():
            if saved is None or saved.path != path:
                analysis.again()

    def close_all(self) -> None:
        """End all analyses."""
        for analysis in self.analyses.values():
            analysis.stop()
        for analysis in self.analyses.values():
            analysis.close()

    def analysis(self, path: Path) -> Analysis:
        """Return the analysis of a database; it is made if there is none."""
        if path not in self.analyses:
            self.analyses[path] = self.start(path, lambda outcome: self.deliver(path, outcome))
        return self.analyses[path]

    def at(self, path: Path) -> OpenFile | None:
        """Return the open file of a path; from any thread."""
        return next((file for file in list(self.open.values()) if file.path == path), None)

    def text_of(self, path: Path) -> BufferText:
        """Return the text of a file, that of the editor if it is open there; "" if it cannot be read."""
        file = self.at(path)
        return file.buffer if file is not None else BufferText(read(path), self.encoding)

    def database_of(self, file: OpenFile) -> Analysis | None:
        """Return the analysis of the database that a file is, or that an experiment uses; None if there is none."""
        if file.is_database:
            return self.analysis(file.path)
        path = next((each for each in self._candidates(file.path) if each.is_file() or self.at(each)), None)
        if path is None:
            return None
        if self.at(path) is None:
            self._refresh(path)
        return self.analysis(path)

    def _candidates(self, path: Path) -> Iterator[Path]:
        """Where the database of an experiment may be: beside it, above it, in the workspace."""
        for folder in path.parents:
            yield folder / NAME
            if folder in self.folders:
                break
        yield from (folder / NAME for folder in self.folders)

    def _refresh(self, path: Path) -> None:
        """Check a database that is not open, if its file has changed."""
        try:
            status = path.stat()
        except OSError:
            return
        stamp = (status.st_mtime_ns, status.st_size)
        if self._stamps.get(path) != stamp:
            self._stamps[path] = stamp
            self.analysis(path).update(BufferText(read(path), self.encoding))


def read(path: Path) -> str:
    """Return the text of a file as an editor shows it, "" if it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError:
        return ""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except (SyntaxError, LookupError, ValueError):
        return data.decode(errors="replace")


def path_of(uri: str) -> Path | None:
    """Return the path of a `file:` URI, None for any other."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme != "file":
        return None
    text = unquote(parts.path)
    if parts.netloc and parts.netloc.lower() != "localhost":
        text = f"//{parts.netloc}{text}"
    elif os.name == "nt" and _DRIVE.match(text):
        text = text[1:]
    return Path(os.path.abspath(text))

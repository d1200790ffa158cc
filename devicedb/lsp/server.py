"""The server: what an editor asks for, answered with what the other modules know. Speaks over stdin and stdout."""

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, Final

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from devicedb.drivers.usage import GETTERS
from devicedb.lsp.analysis import Analysis, Outcome
from devicedb.lsp.completion import complete
from devicedb.lsp.context import Context, context_at
from devicedb.lsp.convert import action_of, diagnostic_of, item_of, position_of, range_of, spot_of
from devicedb.lsp.experiments import ExperimentChecks
from devicedb.lsp.files import Files, OpenFile, path_of
from devicedb.lsp.hover import hover, is_device_call, name_at
from devicedb.lsp.known import Known
from devicedb.lsp.notices import Notice, NoticeBoard
from devicedb.place import Place

QUOTES: Final = ('"', "'")
STACK_SIZE: Final = 16 * 1024 * 1024
"""Bytes for a thread: deeply nested text is parsed there, and some systems give threads little."""


class EditorServer:
    """Answers one editor.

    Args:
        version: Of this program.
        pause: Seconds without a keystroke before a database is run.
        is_static: Never run a database.

    """

    def __init__(self, version: str, *, pause: float, is_static: bool) -> None:
        # The whole text comes with each change: positions are then converted in one place, here.
        self.server = LanguageServer(
            "devicedb", version, text_document_sync_kind=types.TextDocumentSyncKind.Full
        )
        start = functools.partial(Analysis, pause=pause, is_static=is_static)
        self.files = Files(lambda path, deliver: start(path, deliver=deliver), self.database_checked)
        self.board = NoticeBoard(self.files.text_of, self.show)
        self.experiments = ExperimentChecks(self.deliver)
        self.is_shut_down = False
        completion = types.CompletionOptions(trigger_characters=list(QUOTES))
        actions = types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix])
        features: dict[str, tuple[Callable[[Any], Any], Any]] = {
            types.INITIALIZE: (self.initialize, None),
            types.SHUTDOWN: (self.shut_down, None),
            types.TEXT_DOCUMENT_DID_OPEN: (self.did_open, None),
            types.TEXT_DOCUMENT_DID_CHANGE: (self.did_change, None),
            types.TEXT_DOCUMENT_DID_SAVE: (self.did_save, types.SaveOptions()),
            types.TEXT_DOCUMENT_DID_CLOSE: (self.did_close, None),
            types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: (self.note_folders, None),
            types.TEXT_DOCUMENT_HOVER: (self.hover, None),
            types.TEXT_DOCUMENT_DEFINITION: (self.definition, None),
            types.TEXT_DOCUMENT_COMPLETION: (self.complete, completion),
            types.TEXT_DOCUMENT_CODE_ACTION: (self.actions, actions),
        }
        for name, (answer, options) in features.items():
            self.server.feature(name, options)(functools.partial(answer))

    def run(self, requests: BinaryIO, answers: BinaryIO) -> int:
        """Serve until the editor says `exit` or closes standard input.

        Returns:
            The exit status: 0 after `shutdown`, else 1, as the protocol says.

        """
        try:
            self.server.start_io(requests, answers)
        finally:
            self.files.close_all()
            self.experiments.close()
        return 0 if self.is_shut_down else 1

    def end_by_signal(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: end the children, then this process."""
        self.files.close_all()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    # What the editor says.

    def initialize(self, params: types.InitializeParams) -> None:
        """Note the workspace and the encoding of positions."""
        workspace = self.server.workspace
        if workspace.position_encoding is not None:
            self.files.encoding = types.PositionEncodingKind(workspace.position_encoding).value
        self.note_folders(None)

    def note_folders(self, params: types.DidChangeWorkspaceFoldersParams | None) -> None:
        """Note the folders of the workspace."""
        workspace = self.server.workspace
        uris = [*workspace.folders, workspace.root_uri or ""]
        self.files.folders = [path for uri in uris if (path := path_of(uri)) is not None]

    def shut_down(self, params: None) -> None:
        """End every check; `exit` follows."""
        self.is_shut_down = True
        self.files.close_all()

    def did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        """Check a file that has been opened."""
        document = params.text_document
        self.put(document.uri, document.text, document.version)

    def did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        """Check the new text of a file."""
        document = params.text_document
        text = self.server.workspace.get_text_document(document.uri).source
        self.put(document.uri, text, document.version)

    def did_save(self, params: types.DidSaveTextDocumentParams) -> None:
        """Check what may import a saved file."""
        self.files.saved(params.text_document.uri)

    def did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        """Take a file's findings away."""
        file = self.files.close(params.text_document.uri)
        if file is not None and file.is_database:
            self.board.put(file.path, None)
        elif file is not None:
            self.experiments.changed(file, None)

    def hover(self, params: types.HoverParams) -> types.Hover | None:
        """Return what `devicedb show` says of the name at a position."""
        found = self.known_at(params.text_document.uri, params.position)
        text = hover(found[0], found[1]) if found is not None else None
        if found is None or text is None:
            return None
        context, _, file = found
        contents = types.MarkupContent(types.MarkupKind.Markdown, text)
        return types.Hover(contents, range_of(file.buffer, context.start, context.end))

    def definition(self, params: types.DefinitionParams) -> types.Location | None:
        """Return where the entry of the name at a position is."""
        found = self.known_at(params.text_document.uri, params.position)
        if found is None:
            return None
        context, known, _ = found
        name = name_at(context, known)
        place = known.place(name) if name is not None else None
        return self.location(place) if place is not None else None

    def complete(self, params: types.CompletionParams) -> types.CompletionList | None:
        """Return what can be written at a position."""
        found = self.known_at(params.text_document.uri, params.position)
        if found is None:
            return None
        context, known, file = found
        answer = complete(context, known)
        where = range_of(file.buffer, context.start, context.end)
        items = [item_of(each, context, where, place) for place, each in enumerate(answer.candidates)]
        return types.CompletionList(is_incomplete=not answer.is_whole, items=items)

    def actions(self, params: types.CodeActionParams) -> list[types.CodeAction] | None:
        """Return the quick fixes of the findings in a range."""
        file = self.files.open.get(params.text_document.uri)
        wanted = params.context.only
        if file is None or (wanted is not None and types.CodeActionKind.QuickFix not in wanted):
            return None
        start, end = spot_of(params.range.start), spot_of(params.range.end)
        return [
            action_of(notice, file)
            for notice in self.board.at(file.path)
            if notice.edits and notice.buffer.text == file.buffer.text
            if notice.start <= end and start <= notice.end
        ]

    # What the answers need.

    def put(self, uri: str, text: str, version: int | None) -> None:
        """Take over the text of a file; a database checks itself, an experiment against its database."""
        file = self.files.put(uri, text, version)
        if file is not None and not file.is_database:
            is_experiment = any(getter in text for getter in GETTERS)
            self.experiments.changed(file, self.files.database_of(file) if is_experiment else None)

    def known_at(self, uri: str, position: types.Position) -> tuple[Context, Known, OpenFile] | None:
        """Return what is at a position of an open file, and what is known of its database."""
        file = self.files.open.get(uri)
        if file is None:
            return None
        context = context_at(file.buffer.text, file.buffer.offset(spot_of(position)))
        if context is None or not (file.is_database or is_device_call(context)):
            return None
        analysis = self.files.database_of(file)
        return (context, analysis.known(), file) if analysis is not None else None

    def location(self, place: Place) -> types.Location:
        """Return a place as the editor counts."""
        path = Path(place.file)
        text = self.files.text_of(path)
        start = text.at_byte(place.line - 1, place.column)
        end = text.at_byte(place.end_line - 1, place.end_column)
        return types.Location(self.uri(path), types.Range(position_of(start), position_of(end)))

    def uri(self, path: Path) -> str:
        """Return the URI of a file, as the editor has written it."""
        return self.files.spelled.get(path) or path.as_uri()

    # Notifications to the editor.

    def deliver(self, path: Path, outcome: Outcome | None) -> None:
        """Show the outcome of a check; of a file that is not open nothing is shown."""
        if outcome is None or self.files.at(path) is not None:
            self.board.put(path, outcome)

    def database_checked(self, path: Path, outcome: Outcome) -> None:
        """Show the outcome of a database's check, and check the experiments that use it."""
        self.deliver(path, outcome)
        self.experiments.database_changed(path)

    def show(self, path: Path, notices: list[Notice]) -> None:
        """Send the diagnostics of a file."""
        file = self.files.at(path)
        version = file.version if file is not None else None
        diagnostics = [diagnostic_of(notice) for notice in notices]
        params = types.PublishDiagnosticsParams(self.uri(path), diagnostics, version)
        self.server.text_document_publish_diagnostics(params)


def serve(version: str, *, pause: float, is_static: bool) -> int:
    """Serve the editor at standard input and output; return the exit status.

    Args:
        version: Of this program.
        pause: Seconds without a keystroke before a database is run.
        is_static: Never run a database.

    """
    import threading

    threading.stack_size(STACK_SIZE)
    # What anything prints must not get between the messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    editor = EditorServer(version, pause=pause, is_static=is_static)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, editor.end_by_signal)
    return editor.run(sys.stdin.buffer, answers)

"""Answers and findings in the types of the protocol, and positions back from them."""

from typing import Final

from lsprotocol import types

from devicedb.lsp.buffer import BufferText, Spot
from devicedb.lsp.completion import Candidate, Sort
from devicedb.lsp.context import Context
from devicedb.lsp.files import OpenFile
from devicedb.lsp.notices import Notice
from devicedb.model.rule import Severity

SOURCE: Final = "devicedb"
SEVERITIES: Final = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.INFO: types.DiagnosticSeverity.Information,
}
SORTS: Final = {
    Sort.DEVICE: types.CompletionItemKind.Variable,
    Sort.KEY: types.CompletionItemKind.Property,
    Sort.ARGUMENT: types.CompletionItemKind.Property,
    Sort.MODULE: types.CompletionItemKind.Module,
    Sort.CLASS: types.CompletionItemKind.Class,
    Sort.WORD: types.CompletionItemKind.Value,
}


def spot_of(position: types.Position) -> Spot:
    """Return a position of the editor as ours."""
    return Spot(position.line, position.character)


def position_of(spot: Spot) -> types.Position:
    """Return a position as the editor takes it."""
    return types.Position(spot.line, spot.column)


def range_of(buffer: BufferText, start: int, end: int) -> types.Range:
    """Return the range between two offsets."""
    return types.Range(position_of(buffer.spot(start)), position_of(buffer.spot(end)))


def diagnostic_of(notice: Notice) -> types.Diagnostic:
    """Return what the editor shows of a finding."""
    return types.Diagnostic(
        range=types.Range(position_of(notice.start), position_of(notice.end)),
        message=notice.message,
        severity=SEVERITIES[notice.severity],
        code=notice.code or None,
        source=SOURCE,
    )


def action_of(notice: Notice, file: OpenFile) -> types.CodeAction:
    """Return the quick fix of a finding that has edits."""
    edits = [
        types.TextEdit(types.Range(position_of(start), position_of(end)), text)
        for start, end, text in notice.edits
    ]
    return types.CodeAction(
        title=notice.title,
        kind=types.CodeActionKind.QuickFix,
        diagnostics=[diagnostic_of(notice)],
        is_preferred=True,
        edit=types.WorkspaceEdit(changes={file.uri: edits}),
    )


def item_of(candidate: Candidate, context: Context, where: types.Range, place: int) -> types.CompletionItem:
    """Return a candidate for a range; `place` is its rank, from 0. Where there are no quotes yet, it brings them."""
    word = candidate.word
    is_name = context.role.value == "key" and context.bracket.is_keyword_dict
    text = word if context.is_quoted or is_name else f'"{word}"'
    return types.CompletionItem(
        label=word,
        kind=SORTS[candidate.sort],
        detail=candidate.detail or None,
        sort_text=f"{place:04}",
        filter_text=text,
        text_edit=types.TextEdit(where, text),
    )

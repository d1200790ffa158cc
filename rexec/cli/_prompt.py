"""Input lines at a terminal: editing, history, Tab completion, continuation lines."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from devicedb.cli.terminal import say_error
from devicedb.opening import open_bytes
from devicedb.printable import printable

HISTORY = Path("artiq-rexec", "shell_history")


def history_path(*, is_short: bool = False) -> Path:
    """Return the history file; with `is_short`, its default in short form, for messages."""
    state = Path("~/.local/state")
    if is_short:
        return state / HISTORY
    return Path(os.environ.get("XDG_STATE_HOME") or state.expanduser()) / HISTORY


def typed_lines(
    prompt: Callable[[], str], candidates: Callable[[str], list[str]], is_incomplete: Callable[[str], bool]
) -> Iterator[str]:
    """Yield the lines typed at a terminal until Ctrl-D; Ctrl-C drops the line.

    Args:
        prompt: Returns the prompt of the next line.
        candidates: Returns completions of the last word of a text.
        is_incomplete: Whether a text continues on the next line.

    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.application import get_app
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory
    from prompt_toolkit.shortcuts import CompleteStyle

    class WordCompleter(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            word = re.search(r"\w*$", document.text_before_cursor)
            length = len(word[0]) if word is not None else 0
            for each in candidates(document.text_before_cursor):
                yield Completion(each, start_position=-length)

    path = history_path()
    history: History
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(open_bytes(path, os.O_WRONLY | os.O_CREAT, 0o600))  # only this user may read it
        history = FileHistory(str(path))
    except OSError as error:
        say_error(f"the history is not saved: {error}")
        history = InMemoryHistory()
    session: PromptSession[str] = PromptSession(
        history=history,
        completer=WordCompleter(),
        complete_while_typing=False,
        complete_style=CompleteStyle.READLINE_LIKE,
        multiline=Condition(lambda: is_incomplete(get_app().current_buffer.text)),
        prompt_continuation="... ",
    )
    while True:
        try:
            yield session.prompt(printable(f"{prompt()}> "))
        except KeyboardInterrupt:
            continue
        except EOFError:
            return

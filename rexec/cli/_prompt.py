"""What a person types at a terminal, line by line: editing, history, completion by Tab, lines that go on."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

HISTORY = Path("artiq-rexec", "shell_history")


def history_path(*, is_short: bool = False) -> Path:
    """Return where lines are kept between sessions; `is_short` for people: as it is without settings."""
    state = Path("~/.local/state")
    if is_short:
        return state / HISTORY
    return Path(os.environ.get("XDG_STATE_HOME") or state.expanduser()) / HISTORY


def typed_lines(
    prompt: Callable[[], str], candidates: Callable[[str], list[str]], is_incomplete: Callable[[str], bool]
) -> Iterator[str]:
    """Yield what is typed at a terminal until Ctrl-D; Ctrl-C drops the line.

    Args:
        prompt: Returns what stands before the next line.
        candidates: Returns what the word at the end of a text may become.
        is_incomplete: Whether a text goes on in another line.

    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.application import get_app
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory
    from prompt_toolkit.shortcuts import CompleteStyle

    class Words(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            word = re.search(r"\w*$", document.text_before_cursor)
            length = len(word[0]) if word is not None else 0
            for each in candidates(document.text_before_cursor):
                yield Completion(each, start_position=-length)

    path = history_path()
    history: History
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # what is typed is nobody else's business
        history = FileHistory(str(path))
    except OSError as error:
        print(f"no history is kept: {error}", file=sys.stderr)
        history = InMemoryHistory()
    session: PromptSession[str] = PromptSession(
        history=history,
        completer=Words(),
        complete_while_typing=False,
        complete_style=CompleteStyle.READLINE_LIKE,
        multiline=Condition(lambda: is_incomplete(get_app().current_buffer.text)),
        prompt_continuation="... ",
    )
    while True:
        try:
            yield session.prompt(f"{prompt()}> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return

"""`rexec shell`: a session with one target, with history and completion."""

import argparse
import ast
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import cleandoc
from pathlib import Path
from pprint import pformat
from typing import Any, Final

from devicedb.cli.parser import CommandParser
from rexec.cli.errors import EXPECTED_ERRORS
from rexec.cli.literals import LITERALS_HELP, LiteralError, value_of
from rexec.cli.peer import WHERE_HELP, add_peer_arguments, is_answer, sole_peer
from rexec.cli.signatures import listing, signature
from rexec.wire.pc_rpc import Client

SHELL_HELP: Final = """\
  METHOD(VALUE, ..., KEYWORD=VALUE)  call a method, print what it returns
  METHOD?                            its signature and documentation
  ?                                  all methods
  help, quit                         (also Ctrl-D)"""
HISTORY: Final = Path("~/.local/state/artiq-rexec/shell_history")


class InputError(ValueError):
    """Raised when a line typed into the shell is no call and no question."""


_REFUSALS: Final[tuple[type[Exception], ...]] = (InputError, *EXPECTED_ERRORS)


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(
        prog="rexec shell",
        description=f"Talk to a target of an RPC server, line by line.\n\n{WHERE_HELP}",
        epilog=f"in the shell:\n{SHELL_HELP}\n\n{LITERALS_HELP}\n\nexamples:\n  rexec shell camera\n"
        "  echo 'ping()' | rexec shell ::1 6283",
    )
    add_peer_arguments(parser)
    return parser


def parse_call(line: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Return method, positional and keyword arguments of a line such as `set_roi(10, 20, width=64)`.

    Raises:
        InputError: The line is no call with literal arguments.

    """
    try:
        tree = ast.parse(line.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"{line.strip()!r} is no call; type help") from None
    match tree:
        case ast.Call(func=ast.Name(id=method), args=args, keywords=keywords):
            try:
                positional = [value_of(arg) for arg in args]
                named = {word.arg: value_of(word.value) for word in keywords if word.arg is not None}
            except LiteralError as error:
                raise InputError(str(error)) from None
            if len(named) != len(keywords):
                raise InputError("** takes a value that only Python has")
            return method, positional, named
        case ast.Name(id=method):
            raise InputError(f"to call it: {method}(); to read about it: {method}?")
    raise InputError(f"{line.strip()!r} is no call; type help")


class Session:
    """One target's methods, and what a line typed at it does."""

    def __init__(self, client: Client) -> None:
        self._client = client
        answer = client.get_rpc_method_list()
        self._methods: Mapping[str, Any] = answer["methods"]
        self._docstring: str | None = answer["docstring"]

    @property
    def methods(self) -> Sequence[str]:
        """Names of the methods, for completion."""
        return sorted(self._methods)

    def run(self, line: str) -> str | None:
        """Carry out a line; return what to print. InputError, or what the call raised."""
        line = line.strip()
        if not line or line.startswith("#"):
            return None
        if line in {"help", "help()"}:
            return SHELL_HELP
        if line == "?":
            return listing(self._methods, self._docstring)
        if line.endswith("?"):
            return self._about(line.rstrip("? "))
        method, positional, keywords = parse_call(line)
        result = getattr(self._client, method)(*positional, **keywords)
        return None if result is None else pformat(result, width=100)

    def _about(self, method: str) -> str:
        if method not in self._methods:
            raise InputError(f"there is no method {method!r}; ? lists them")
        spec, doc = self._methods[method]
        return signature(method, spec) + (f"\n{cleandoc(doc)}" if doc else "")


def main(argv: Sequence[str]) -> int:
    """Run the session; in a pipe, stop at the first line that fails."""
    parser = get_argparser()
    arguments = parser.parse_intermixed_args(argv)
    peer = sole_peer(arguments, parser, "; a target is named with -t")
    client = peer.connect(arguments.timeout)
    try:
        session = Session(client)
        if sys.stdin.isatty():
            print(f"{peer.label}: {len(session.methods)} methods; ? lists them, help explains, Ctrl-D leaves")
            return _converse(session, _typed_lines(session), keep_going=True)
        return _converse(session, iter(sys.stdin), keep_going=False)
    finally:
        client.close_rpc()


def _converse(session: Session, lines: Iterator[str], keep_going: bool) -> int:
    for line in lines:
        if line.strip() in {"quit", "exit", "quit()", "exit()"}:
            break
        try:
            text = session.run(line)
        except _REFUSALS as error:
            print(f"error: {error}", file=sys.stderr)
        except Exception as error:
            if not is_answer(error):
                raise
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        else:
            if text is not None:
                print(text)
            continue
        if not keep_going:
            return 1
    return 0


def _typed_lines(session: Session) -> Iterator[str]:
    """Yield the lines typed at a terminal until Ctrl-D; Ctrl-C drops the line."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory

    path = HISTORY.expanduser()
    history: History
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        history = FileHistory(str(path))
    except OSError as error:
        print(f"no history is kept: {error}", file=sys.stderr)
        history = InMemoryHistory()
    prompt: PromptSession[str] = PromptSession(
        "> ", history=history, completer=WordCompleter([*session.methods, "help", "quit"])
    )
    read: Callable[[], str] = prompt.prompt
    while True:
        try:
            yield read()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return

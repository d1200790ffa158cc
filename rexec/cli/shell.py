"""`rexec shell`: calls methods of a server line by line, with history and completion."""

import argparse
import ast
import codeop
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import cleandoc
from pprint import pformat
from typing import Any, Final

from devicedb.cli.parser import CommandParser
from devicedb.cli.streams import is_terminal
from devicedb.cli.terminal import say, say_error, say_lines
from devicedb.errors import ExpectedError
from devicedb.printable import printable
from devicedb.suggest import did_you_mean
from devicedb.whole_file import is_utf16
from rexec.cli._peer_options import LITERALS_HELP, WHERE_HELP, add_peer_arguments
from rexec.cli._prompt import history_path, typed_lines
from rexec.cli.errors import CommandError
from rexec.cli.literals import LiteralError, NoExpression, expression, value_of
from rexec.cli.peer import Peer, call_remote, is_answer, method_list, sole_peer
from rexec.wire.client import Client
from rexec.wire.signatures import listing, signature

SHELL_HELP: Final = """\
  METHOD(VALUE, ..., KEYWORD=VALUE)  call a method, print its result
  METHOD?                            show its signature and documentation
  ?                                  list all methods
  use TARGET                         switch to another target (use: list them)
  help, quit                         (also Ctrl-D)"""

_LEAVING: Final = frozenset({"quit", "exit", "quit()", "exit()"})
_COMMANDS: Final = ("help", "quit", "use")


class InputError(ValueError):
    """Raised when a line typed into the shell is neither a call nor a command."""


_REFUSALS: Final[tuple[type[Exception], ...]] = (InputError, ExpectedError)


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(
        prog="rexec shell",
        usage="rexec shell [options] (HOST PORT | NAME)",
        description=f"Call methods of an RPC server, line by line.\n\n{WHERE_HELP}",
        epilog=f"in the shell:\n{SHELL_HELP}\n\n{LITERALS_HELP}\n\n"
        "A call may span several lines until its brackets are closed. Tab completes methods, parameters and targets.\n"
        "Ctrl-C drops a line, or stops waiting for an answer (the method may still run on the server). The history\n"
        f"is kept in {history_path(is_short=True)} (or under $XDG_STATE_HOME).\n\n"
        "examples:\n  rexec shell camera\n  rexec shell ::1 3251 -t dataset_db\n"
        "  echo 'ping()' | rexec shell ::1 3290 -t camera\n\n"
        "Exit status: 0 success, 1 a line from a pipe failed (the rest is not run), 2 bad input or no connection.",
    )
    add_peer_arguments(parser)
    return parser


def is_incomplete(text: str) -> bool:
    """Return whether a text continues on the next line."""
    stripped = text.strip()
    if not stripped or stripped.startswith("#") or stripped.endswith("?"):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return codeop.compile_command(text, "<shell>", "eval") is None
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return False


def parse_call(line: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Return method, positional and keyword arguments of a line such as `set_roi(10, 20, width=64)`.

    Raises:
        InputError: The line is not a call with literal arguments.

    """
    try:
        node = expression(line)
    except NoExpression:
        raise InputError(f"{line.strip()!r} is not a call; type help") from None
    match node:
        case ast.Call(func=ast.Name(id=method), args=args, keywords=keywords):
            try:
                positional = [value_of(arg) for arg in args]
                named = {word.arg: value_of(word.value) for word in keywords if word.arg is not None}
            except LiteralError as error:
                raise InputError(str(error)) from None
            if len(named) != len(keywords):
                raise InputError("** is not supported; write KEYWORD=VALUE")
            return method, positional, named
        case ast.Name(id=method):
            raise InputError(f"to call it, type {method}(); for its documentation, {method}?")
    raise InputError(f"{line.strip()!r} is not a call; type help")


class ShellSession:
    """Carries out typed lines on one target of a server at a time.

    Args:
        peer: The server, with the first target.
        timeout: Seconds to wait for a connection, and for each answer.

    """

    def __init__(self, peer: Peer, timeout: float) -> None:
        self._peer = peer
        self._timeout = timeout
        self._client = self._connect(peer.target)

    def _connect(self, target: str | None) -> Client:
        client = self._peer.with_target(target).connect(self._timeout)
        try:
            answer = method_list(client)
            self.targets: Sequence[str] = sorted(client.get_rpc_id()[0])
        except BaseException:
            client.close_rpc()
            raise
        self.methods: Mapping[str, Any] = answer["methods"]
        self._docstring: str | None = answer["docstring"]
        self.target: str = client.get_selected_target() or ""
        return client

    def close(self) -> None:
        """Close the connection."""
        self._client.close_rpc()

    def run(self, line: str) -> str | None:
        """Carry out a line and return the text to print; raises InputError, or the exception of the call."""
        line = line.strip()
        if not line or line.startswith("#"):
            return None
        if line in {"help", "help()"}:
            return SHELL_HELP
        if line == "?":
            return listing(self.methods, self._docstring)
        if line.endswith("?"):
            return self._about(line.rstrip("? "))
        words = line.split()
        if words[0] == "use" and len(words) <= 2:
            return self._use(words[1]) if len(words) == 2 else self._listed_targets()
        method, positional, keywords = parse_call(line)
        result = call_remote(self._client, method, positional, keywords)
        return None if result is None else pformat(result, width=100)

    def candidates(self, text: str) -> list[str]:
        """Return completions of the last word of a text: methods, parameters of a method, or targets."""
        if found := re.fullmatch(r"\s*(\w*)", text):
            return _beginning(found[1], [*self.methods, *_COMMANDS])
        if found := re.fullmatch(r"\s*use\s+(\S*)", text):
            return _beginning(found[1], self.targets)
        if (found := re.match(r"\s*(\w+)\s*\(", text)) and found[1] in self.methods:
            word = re.search(r"[(,]\s*(\w*)$", text)
            if word is not None:
                spec, _ = self.methods[found[1]]
                names = [*(spec.get("args") or ()), *(spec.get("kwonlyargs") or ())]
                return _beginning(word[1], [f"{each}=" for each in names if each != "self"])
        return []

    def _about(self, method: str) -> str:
        if method not in self.methods:
            raise InputError(f"no method {method!r}.{did_you_mean(method, self.methods)} ? lists them")
        spec, doc = self.methods[method]
        return printable(signature(method, spec)) + (f"\n{cleandoc(doc)}" if doc else "")

    def _use(self, target: str) -> str:
        if target not in self.targets:
            raise InputError(f"no target {target!r}; the server has {', '.join(self.targets)}")
        former, self._client = self._client, self._connect(target)
        former.close_rpc()
        return printable(f"{target}: {len(self.methods)} methods")

    def _listed_targets(self) -> str:
        return "\n".join(printable(f"{'*' if each == self.target else ' '} {each}") for each in self.targets)


def _beginning(start: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(start) and name.isprintable())


def main(argv: Sequence[str]) -> int:
    """Run the session; stop at the first failing line if the input is not a terminal."""
    parser = get_argparser()
    arguments = parser.parse_intermixed_args(argv)
    peer = sole_peer(arguments, parser, "; name a target with -t")
    session = ShellSession(peer, arguments.timeout)
    try:
        if is_terminal(sys.stdin):
            say_error(
                f"{peer.label}, target {session.target}: {len(session.methods)} methods; ? lists them, help explains, "
                "Ctrl-D leaves"
            )
            lines = typed_lines(lambda: session.target, session.candidates, is_incomplete)
            return _converse(session, lines, is_interactive=True)
        return _converse(session, whole_lines(without_mark(sys.stdin)), is_interactive=False)
    finally:
        session.close()


def without_mark(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text without its byte order mark, which editors of Windows write.

    Raises:
        CommandError: The text is UTF-16.

    """
    rest = iter(lines)
    for first in rest:
        if is_utf16(first.encode("utf-8", "surrogateescape")):
            raise CommandError("standard input is UTF-16 text; save it as UTF-8")
        yield first.removeprefix("\ufeff")
        yield from rest


def whole_lines(lines: Iterable[str]) -> Iterator[str]:
    """Join continuation lines and yield whole ones."""
    text = ""
    for line in lines:
        text += line
        if not is_incomplete(text):
            yield text
            text = ""
    if text:
        yield text


def _converse(session: ShellSession, lines: Iterator[str], *, is_interactive: bool) -> int:
    for line in lines:
        if line.strip() in _LEAVING:
            break
        try:
            text = session.run(line)
        except KeyboardInterrupt:
            if not is_interactive:
                raise
            say("interrupted: the answer is dropped; the method may still run on the server")
        except _REFUSALS as error:
            say_error(f"error: {error}")
        except Exception as error:
            if not is_answer(error):
                raise
            say_error(f"{type(error).__name__}: {error}")
        else:
            if text is not None:
                say_lines(text, flush=True)
            continue
        if not is_interactive:
            return 1
    return 0

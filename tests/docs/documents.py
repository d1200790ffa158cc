"""Reads the code blocks of a Markdown document and runs them, as a reader would, in one folder.

A fenced block is one of these; the guard in `test_documents.py` fails on any other:

* after `<!-- file: NAME -->`: the contents of a file, written into the folder;
* `python`: run in the namespace of the blocks before it;
* `console`: a transcript. Lines after `$ ` are commands, run by a shell; the lines that follow are what
  they print, in order. `...` in a line stands for any text, a line of `...` for any lines. A command that is
  expected to fail is followed by the comment `# exit STATUS`;
* after `<!-- not run: REASON -->`: shown only, and the reason says why;
* `text`, `mermaid` or a MyST directive: not code.

Indented code, which Markdown has as well, is refused.
"""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil
from markdown_it import MarkdownIt

from tests.ports import substituted, without_status

FENCE = re.compile(r"^(?P<fence>`{3,})(?P<info>[^`]*)$")
NOTE = re.compile(r"^<!-- (?P<kind>file|not run): (?P<text>.+) -->$")
NOT_CODE = ("text", "mermaid", "{")
COMMAND_TIMEOUT = 150.0


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, the 1-based line where it starts, and the note before it."""

    language: str
    text: str
    line: int
    note: str | None
    """"file" or "not run"."""
    note_text: str

    @property
    def is_accounted_for(self) -> bool:
        """Whether the block is run, written, excused or no code at all."""
        return self.note is not None or self.language in {"python", "console"} or self.is_prose

    @property
    def is_prose(self) -> bool:
        """Whether the block is no code."""
        return self.language.startswith(NOT_CODE)


def blocks(document: str) -> list[Block]:
    """Return the fenced blocks of a Markdown document, in order."""
    found: list[Block] = []
    lines = document.splitlines()
    note: re.Match[str] | None = None
    index = 0
    while index < len(lines):
        line = lines[index].strip()
        fence = FENCE.match(line)
        if fence is None:
            if line:
                note = NOTE.match(line)
            index += 1
            continue
        start = index + 1
        indent = len(lines[index]) - len(lines[index].lstrip())
        end = next((i for i in range(start, len(lines)) if lines[i].strip() == fence["fence"]), None)
        if end is None:
            raise ValueError(f"line {start}: this block is never closed")
        text = "\n".join(each[indent:] for each in lines[start:end]) + "\n"
        found.append(
            Block(
                language=fence["info"].strip(),
                text=text,
                line=start,
                note=note["kind"] if note else None,
                note_text=note["text"] if note else "",
            )
        )
        note = None
        index = end + 1
    return found


def indented_code(document: str) -> list[int]:
    """Return the 1-based lines at which code begins that is only indented: nobody runs it, and no note excuses it."""
    tokens = MarkdownIt().parse(document)
    return [token.map[0] + 1 for token in tokens if token.type == "code_block" and token.map is not None]


def run(document: Path, folder: Path, ports: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run every block of the document in the folder; AssertionError names the first fault.

    `ports` take the place of those that the document prints, since a test has only ports of the system's choice.
    """
    try:
        _run(document, folder, ports)
    finally:
        end_what_runs_in(folder)


def end_what_runs_in(folder: Path) -> None:
    """End programs that a document has started in its folder, where it failed before it ended them itself."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder):
                process.kill()


def _run(document: Path, folder: Path, ports: Mapping[str, str]) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(substituted(document.read_text(encoding="utf-8"), ports)):
        where = f"{document.name}:{block.line}"
        if block.note == "file":
            path = folder / block.note_text
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.note == "not run" or block.is_prose:
            continue
        elif block.language == "python":
            source = "\n" * block.line + block.text
            with contextlib.chdir(folder):
                exec(compile(source, str(document), "exec"), namespace)
        elif block.language == "console":
            for command, expected, status in transcript(block.text):
                run_command(where, command, expected, status, folder)
        else:
            raise AssertionError(f"{where}: a block of {block.language!r} that is neither run nor excused")


def transcript(text: str) -> list[tuple[str, list[str], int]]:
    """Split a console block into commands, the lines expected of each, and the exit status expected."""
    found: list[tuple[str, list[str], int]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            command, _, status = line[2:].partition("  # exit ")
            # Here each command has a shell of its own, a reader has one for all of them.
            assert not command.startswith("cd "), f"`{command}` takes the reader along: write (cd ...)"
            found.append((command, [], int(status or 0)))
        elif found and found[-1][0].endswith("\\"):
            command, expected, code = found.pop()
            found.append((command[:-1] + line.strip(), expected, code))
        elif found:
            found[-1][1].append(line)
        else:
            raise AssertionError(f"a console block starts with a command after '$ ', not with {line!r}")
    return found


def run_command(where: str, command: str, expected: list[str], status: int, folder: Path) -> None:
    """Run one command of a transcript and compare what it prints."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",  # both streams in the order of a terminal
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_TIMEOUT,
        check=False,
    )
    # bash runs a lone command in its own place: a signal that ends it is seen here, not told as 128 + n.
    ended = done.returncode if done.returncode >= 0 else 128 - done.returncode
    assert ended == status, f"{where}: `{command}` ended with {ended}, not {status}:\n{done.stdout}"
    pattern = "".join(
        r"(?:.*\n)*?"
        if line.strip() == "..."
        else re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + r"[ \t]*\n"
        for line in expected
    )
    assert not expected or re.fullmatch(pattern, without_status(done.stdout)), (
        f"{where}: `{command}` printed\n{done.stdout}\nwhere the document says\n" + "\n".join(expected)
    )

"""Every code block of every document is run here, or says why it is not."""

import os
from pathlib import Path

import pytest

from tests.docs.documents import blocks, indented_code, run, transcript
from tests.ports import copy_examples, free_ports, without_status

ROOT = Path(__file__).resolve().parents[2]
FOR_POSIX = "its commands are for a shell of POSIX"
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/*.md", ".github/**/*.md")
    for path in ROOT.glob(pattern)
    if "_build" not in path.parts
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_is_run_or_excused(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    left = [
        (block.line, block.language or "no language") for block in blocks(text) if not block.is_accounted_for
    ]
    left += [(line, "indented: write a fenced block") for line in indented_code(text)]
    assert not left, [f"{document.relative_to(ROOT)}:{line} ({what})" for line, what in left]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document_runs_as_printed(document: Path, tmp_path: Path) -> None:
    text = document.read_text(encoding="utf-8")
    if os.name == "nt" and any(
        block.language == "console" and block.note != "not run" for block in blocks(text)
    ):
        pytest.skip(FOR_POSIX)
    if os.name == "nt" and "pthread_kill" in text:
        pytest.skip("a signal of POSIX stands for the button of a notebook")
    ports = free_ports()
    copy_examples(tmp_path, ports)
    run(document, tmp_path, ports)


def test_an_unclosed_block_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2: this block is never closed"):
        blocks("\n```python\nprint(1)\n")


def test_a_block_of_another_language_without_a_reason_is_found() -> None:
    bare, excused = blocks("```bash\nls\n```\n\n<!-- not run: it prints a folder -->\n\n```bash\nls\n```\n")
    assert not bare.is_accounted_for
    assert excused.is_accounted_for


def test_indented_code_is_found_and_lists_are_not_taken_for_it() -> None:
    assert indented_code("text\n\n    ls -l\n") == [3]
    assert indented_code("* one\n\n    two\n\n```text\n    in a block\n```\n") == []


def test_a_transcript_is_split_into_commands_output_and_status() -> None:
    assert transcript("$ echo a \\\n  b\na b\n$ false  # exit 1\n") == [
        ("echo a b", ["a b"], 0),
        ("false", [], 1),
    ]


def test_a_command_that_would_change_the_readers_folder_is_refused() -> None:
    assert transcript("$ (cd lab && ls)\n") == [("(cd lab && ls)", [], 0)]
    with pytest.raises(AssertionError, match="takes the reader along"):
        transcript("$ cd lab && ls\n")


@pytest.mark.skipif(os.name == "nt", reason=FOR_POSIX)
def test_output_that_differs_from_the_document_fails(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("```console\n$ printf 'a 12\\nb\\nc\\n'\na ...\n...\nc\n```\n")
    run(document, tmp_path)
    document.write_text("```console\n$ echo b\nc\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:1"):
        run(document, tmp_path)


@pytest.mark.skipif(os.name == "nt", reason=FOR_POSIX)
def test_a_command_that_fails_unannounced_fails_the_document(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("```console\n$ exit 3\n```\n")
    with pytest.raises(AssertionError, match="ended with 3, not 0"):
        run(document, tmp_path)


def test_the_line_about_a_run_on_a_slow_machine_is_not_part_of_a_document() -> None:
    status = "rexec run: run 0 · Fit the spot on a camera's frames. · run · 30 s · 6 datasets · rexec: spots_there\n"
    assert without_status(f"one\n{status}two\n") == "one\ntwo\n"

"""The command of a controller is formatted and split as the controller manager does it."""

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicedb import CommandTemplateError, command_line
from devicedb.command import as_typed


@given(st.lists(st.text()))
def test_a_command_that_is_shown_is_typed_as_it_stands(words: list[str]) -> None:
    assert shlex.split(as_typed(words, windows=False)) == words
    # Python quotes only words with spaces; cmd and PowerShell take more apart.
    spaced = [f"{word} " for word in words] + [f" {word}" for word in words]
    assert as_typed(spaced, windows=True) == subprocess.list2cmdline(spaced)


def test_a_command_that_is_shown_on_windows_has_no_single_quotes_of_a_shell() -> None:
    words = [r"C:\lab\python.exe", "-p", "3300", "points=[1, 2]", "mode='fast'", "a&b"]
    shown = r'''C:\lab\python.exe -p 3300 "points=[1, 2]" "mode='fast'" "a&b"'''
    assert as_typed(words, windows=True) == shown


def test_keys_of_the_entry_and_of_the_manager_are_filled_in() -> None:
    entry = {
        "port": 1,
        "serial": "A b",
        "command": "x -p {port} --bind {bind} -n {name} -s '{serial}' --ssl {ARTIQ_SSL_DIR}/a",
    }
    words = command_line("cam", entry, bind="10.0.0.1", ssl_dir="/s")
    assert words == ["x", "-p", "1", "--bind", "10.0.0.1", "-n", "cam", "-s", "A b", "--ssl", "/s/a"]


@pytest.mark.parametrize("folder", ["", "/s t", r"C:\lab\certs", "it's"])
@pytest.mark.parametrize("command", ["x {ARTIQ_SSL_DIR}/a", "x '{ARTIQ_SSL_DIR}/a'"])
def test_the_folder_of_tls_files_may_have_any_name(command: str, folder: str) -> None:
    assert command_line("cam", {"command": command}, ssl_dir=folder) == ["x", f"{folder}/a"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (None, "has no command"),
        (["a"], "has no command"),
        ("", "is empty"),
        ("x {prot}", "placeholder {prot}, which is no key of the entry. Did you mean 'port'?"),
        ("x {port", "expected '}'"),
        ("x {}", "placeholder {}"),
        ("x 'a", "No closing quotation"),
        ("x {port.real.nope}", "nope"),
        ("x {port!z}", "z"),
        ("x {ARTIQ_SSL_DIR}", "ARTIQ_SSL_DIR, which is not set"),
        ("x {port:{width}}", "{width}"),
    ],
)
def test_a_template_that_cannot_work_is_one_error(command: object, said: str) -> None:
    with pytest.raises(CommandTemplateError) as caught:
        command_line("cam", {"port": 1, "command": command})
    assert said in str(caught.value)
    assert "'cam'" in str(caught.value)


@given(st.text())
def test_any_template_formats_or_is_our_error(template: str) -> None:
    try:
        assert command_line("cam", {"port": 1, "command": template})
    except CommandTemplateError as error:
        assert "'cam'" in str(error)  # noqa: PT017

"""The command of a controller is formatted and split as the controller manager does it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicedb import CommandTemplateError, command_line


def test_keys_of_the_entry_and_of_the_manager_are_filled_in() -> None:
    entry = {
        "port": 1,
        "serial": "A b",
        "command": "x -p {port} --bind {bind} -n {name} -s '{serial}' --ssl {ARTIQ_SSL_DIR}/a",
    }
    words = command_line("cam", entry, bind="10.0.0.1", ssl_dir="/s")
    assert words == ["x", "-p", "1", "--bind", "10.0.0.1", "-n", "cam", "-s", "A b", "--ssl", "/s/a"]


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

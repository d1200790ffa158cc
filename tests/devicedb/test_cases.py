"""Small databases, each of one kind of fault: the first line names the entries that need an error."""

import json
from pathlib import Path

import pytest

from devicedb.cli import main

CASES = Path(__file__).with_name("cases")


@pytest.mark.parametrize("case", sorted(CASES.glob("*.ddb")), ids=lambda path: path.stem)
@pytest.mark.parametrize("form", ["json", "github", "gitlab", "sarif", "junit", "text"])
def test_each_faulty_entry_is_named_and_no_other(
    case: Path, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "device_db.py"
    path.write_text(case.read_text(encoding="utf-8"), encoding="utf-8")
    said = case.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    status = main(["check", str(path), "--format", form, "--no-config", "--artiq-release", "9"])
    text = capsys.readouterr().out
    wanted = set(said.removeprefix("error:").split()) if said != "clean" else set()
    assert status == bool(wanted)
    if form == "json":
        found = {
            name
            for each in json.loads(text)["findings"]
            if each["severity"] == "error"
            for name in each["entries"]
        }
        assert found == wanted
    assert all(f"'{name}'" in text or f"&apos;{name}&apos;" in text for name in wanted)

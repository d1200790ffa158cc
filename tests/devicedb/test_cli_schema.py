"""`devicedb schema` prints the schemas that are shipped, and writes them from the models."""

import json
from pathlib import Path

import pytest

import schemas
from devicedb.cli.schema import NAMES, main
from devicedb.output import OutputError
from schemas.json_schema import FILES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_schema_is_printed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(
        (Path(schemas.__file__).parent / NAMES[name]).read_text()
    )


def test_every_schema_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--write", str(tmp_path)]) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        name: (Path(schemas.__file__).parent / name).read_bytes() for name in FILES
    }
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in FILES]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"absent.*cannot be written"):
        main(["--write", str(tmp_path / "absent")])

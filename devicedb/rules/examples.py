"""The examples of rules as files, for tests and to try by hand."""

from pathlib import Path

MARK = "# file: "


def split(example: str) -> dict[str, str]:
    """Return {file name: text} of an example; the first file is device_db.py."""
    files: dict[str, list[str]] = {"device_db.py": []}
    name = "device_db.py"
    for line in example.splitlines(keepends=True):
        if line.startswith(MARK):
            name = line[len(MARK) :].strip()
            files[name] = []
        else:
            files[name].append(line)
    return {name: "".join(lines) for name, lines in files.items()}


def write(example: str, folder: Path) -> Path:
    """Write the files of an example into a folder; return its device database."""
    for name, text in split(example).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder / "device_db.py"

"""`python -m schemas [FOLDER]` writes the JSON Schema files beside the models (or into FOLDER)."""

import os
import sys
import tempfile
from pathlib import Path

from schemas.json_schema import FILES, FOLDER, render


def main(folder: Path = FOLDER) -> int:
    """Write every schema file whole, by a temporary file and a rename."""
    for name, model in FILES.items():
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            file.write(render(model))
        Path(file.name).chmod(0o644)
        os.replace(file.name, folder / name)
        sys.stdout.write(f"{folder / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))

"""Edits a device database in a real Neovim (0.7 or newer), headless, and compares what its language client got.

    python -m tests.campaigns.neovim [--nvim PROGRAM]

Findings of a run, hover, definition, completion, and a quick fix that is applied and checked again. Prints what Neovim
says, exit status 1 where it differs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

SCRIPT: Final = Path(__file__).with_suffix(".lua")
DATABASE: Final = """device_db = {
    "camera": {"type": "controller", "host": "::1", "port": 3290, "target": "camera", "command": "a -p {port}"},
    "ünï😀": {"type": "controller_aux_target", "controller": "cam", "target_name": "rexec"}, "cam": "camera",
}
for number in range(2):
    device_db[f"pump{number}"] = {"type": "controller", "host": "::1", "port": 3300, "best_efort": 1}
"""
EXPECTED: Final[dict[str, Any]] = {
    "findings": ["2:67 DDB401", "6:86 DDB701"],
    "hover": "cam",
    "completion": ["cam", "camera", "pump0", "pump1"],
    "action": 'write "target_name" for "target"',
    "findings after it": ["6:86 DDB701"],
}


def main() -> int:
    """Run Neovim, print what it says, return 1 where that differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nvim", metavar="PROGRAM", default="nvim", help="Neovim (default: %(default)s)")
    program = shutil.which(parser.parse_args().nvim)
    if program is None:
        print("there is no such Neovim", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "device_db.py")
        path.write_text(DATABASE, encoding="utf-8")
        done = subprocess.run(
            [program, "--headless", "-u", "NONE", "-i", "NONE", "-n", "-c", f"luafile {SCRIPT}"],
            env={
                **os.environ,
                "HOME": folder,
                "DEVICEDB_FILE": str(path),
                "DEVICEDB_SERVER": f"{sys.executable} -m devicedb lsp",
            },
            stdout=subprocess.PIPE,
            text=True,
            timeout=300,
            check=False,
        )
    print(done.stdout, end="")
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    found = {what: json.loads(said.get(what, "null")) for what in EXPECTED}
    place = json.loads(said.get("definition", "{}")).get("start", {})
    # Columns are UTF-16 units or bytes, as Neovim has chosen.
    is_same = found == EXPECTED and place.get("line") == 2 and place.get("character") in {93, 97}
    print("as expected" if is_same and done.returncode == 0 else f"expected {EXPECTED}")
    return 0 if is_same and done.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

"""What can be observed of a run from outside, in plain values; run by our interpreter and by one that has ARTIQ.

    PYTHON artiq_observed.py FOLDER < CASES

runs each case (a JSON list of [name, source, class name or None, words]) by `artiq_run` in a folder of its own, and
prints a JSON object of observations by name. It imports nothing of this project.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import h5py

FILE = "experiment.py"
LONGEST = 400


def contents(path: Path) -> dict[str, Any]:
    """Return the groups `datasets` and `archive` of a result file: form, value and attributes of each dataset."""
    found: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        for group in ("datasets", "archive"):
            if group in file:
                file[group].visititems(
                    lambda name, item, group=group: found.update(_item(f"{group}/{name}", item))
                )
    return found


def _item(name: str, item: Any) -> dict[str, Any]:
    if not isinstance(item, h5py.Dataset):
        return {}
    text = h5py.check_string_dtype(item.dtype)
    form = f"str:{text.encoding}" if text else "bool" if h5py.check_enum_dtype(item.dtype) else item.dtype.str
    value = item.asstr()[()] if text and text.encoding == "utf-8" else item[()]
    shown = repr(value.tolist() if hasattr(value, "tolist") else value)[:LONGEST]
    attributes = {key: repr(each.item() if hasattr(each, "item") else each) for key, each in item.attrs.items()
                  if key in ("unit", "scale", "precision")}  # fmt: skip
    return {name: [form, list(item.shape), shown, attributes]}


def _run_by_artiq(source: str, class_name: "str | None", words: "list[str]") -> dict[str, Any]:
    """Run `artiq_run` in the current folder, in this process."""
    from artiq.frontend import artiq_run

    Path("device_db.py").write_text("device_db = {}\n")
    Path(FILE).write_text(source)
    chosen = ["-c", class_name] if class_name is not None else []
    sys.argv = ["artiq_run", "-o", "out.h5", *chosen, FILE, *words]
    said, error = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(said):
            artiq_run.main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException as raised:
        status, error = 1, traceback.format_exception_only(type(raised), raised)[-1].strip()[:LONGEST]
    file = Path("out.h5")
    datasets = contents(file) if file.exists() and status == 0 else {}
    return {"status": status, "error": error, "said": said.getvalue().splitlines(), "datasets": datasets}


def _main(folder: str) -> None:
    import artiq.frontend.artiq_run  # noqa: F401  # once, before the forks

    observed = {}
    for name, source, class_name, words in json.load(sys.stdin):
        os.chdir(tempfile.mkdtemp(dir=folder))
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            with open(os.devnull, "w") as null:
                os.dup2(null.fileno(), 2)
            with open(writer, "w") as out:
                json.dump(_run_by_artiq(source, class_name, words), out)
            os._exit(0)
        os.close(writer)
        with open(reader) as answer:
            text = answer.read()
        os.waitpid(pid, 0)
        observed[name] = (
            json.loads(text) if text else {"status": -1, "error": "no answer", "said": [], "datasets": {}}
        )
    json.dump(observed, sys.stdout)


if __name__ == "__main__":
    _main(sys.argv[1])

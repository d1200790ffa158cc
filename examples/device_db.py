"""The three laboratories in one device database: their entries, with commands that start from this folder."""

import importlib

device_db = {}
for laboratory in ("camera", "host_monitor", "scpi_bench"):
    entries = importlib.import_module(f"{laboratory}.device_db").device_db
    for name, entry in entries.items():
        if isinstance(entry, dict) and "command" in entry:
            script = entry["command"].removeprefix("python ")
            entry = entry | {"command": f"python {laboratory}/{script}"}
        device_db[name] = entry

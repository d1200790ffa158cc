"""The device database."""

from pathlib import Path
from typing import Final

from ..row import Work, program, row

CORE: Final = (
    '"core": {"type": "local", "module": "artiq.coredevice.core", "class": "Core", '
    '"arguments": {"host": None, "ref_period": 1e-9}}'
)


def literal(entries: int) -> str:
    """Return a database of TTLs and controllers, every entry written out."""
    lines = ["device_db = {", f"    {CORE},"]
    for index in range(entries):
        if index % 10:
            fields = (
                f'"module": "artiq.coredevice.ttl", "class": "TTLOut", "arguments": {{"channel": {index}}}'
            )
            lines.append(f'    "ttl{index}": {{"type": "local", {fields}}},')
        else:
            fields = f'"host": "10.0.{index // 250 % 250}.{index % 250}", "port": {1024 + index % 60000}'
            lines.append(
                f'    "slow{index}": {{"type": "controller", {fields}, "command": "aqctl_x -p {{port}}"}},'
            )
    return "\n".join([*lines, "}", ""])


@row("`devicedb check` of n literal entries", start=1000, owed="8 s of CPU and 400 MB at 100,000")
def check_literal(size: int, folder: Path) -> Work:
    file = folder / "device_db.py"
    file.write_text(literal(size))
    return program("devicedb", "check", "-q", "--no-config", "--time-limit", "300", file)


@row("`devicedb show` of n entries", start=100, owed="0.6 s of CPU at 10,000")
def show_entries(size: int, folder: Path) -> Work:
    file = folder / "device_db.py"
    file.write_text(literal(size))
    return program("devicedb", "show", "--device-db", file)

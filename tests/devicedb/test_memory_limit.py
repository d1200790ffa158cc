"""What a device database or a result file asks for is refused before the machine runs out of it."""

import subprocess
import sys

import pytest

PROGRAM = """
import subprocess, sys
from devicedb.memory_limit import limit_memory
limit_memory(1 << 30)
bytearray(64 << 20)
try:
    bytearray(2 << 30)
except MemoryError:
    print("refused")
print(subprocess.run([sys.executable, "-c", "bytearray(2 << 30)"], stderr=subprocess.DEVNULL).returncode)
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS keeps no limit of the address space")
def test_memory_beyond_the_limit_is_refused_also_to_children() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, timeout=150, check=True
    )
    assert done.stdout == "refused\n1\n"

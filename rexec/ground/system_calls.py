"""What one system call takes."""

from typing import Final

MOST_AT_ONCE: Final = 1 << 30
"""Most bytes to read or write: macOS refuses 2 GiB (EINVAL), where other systems take a part."""

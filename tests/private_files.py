"""Tells whether a file is for its owner alone, on any system."""

import ctypes
import os
import stat
from pathlib import Path
from typing import Any


def is_for_its_owner(path: Path) -> bool:
    """Return whether only the owner of a file, and administrators, can open it."""
    if os.name == "posix":
        return not stat.S_IMODE(path.stat().st_mode) & 0o077
    library: Any = ctypes
    advapi, size = library.WinDLL("advapi32"), ctypes.c_ulong()
    held = ctypes.create_string_buffer(4096)
    assert advapi.GetFileSecurityW(str(path), 4, held, 4096, ctypes.byref(size))
    text = ctypes.c_wchar_p()
    shown = advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW
    assert shown(held, 1, 4, ctypes.byref(text), None)
    assert text.value is not None
    everyone, users, authenticated = ";;;WD)", ";;;BU)", ";;;AU)"
    return not any(each in text.value for each in (everyone, users, authenticated))

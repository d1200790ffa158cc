"""Names of datasets as paths in HDF5: as they stand wherever HDF5 can hold them, escaped where it cannot."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

_SAFE: Final = " !\"#$&'()*+,:;<=>?@[\\]^`{|}"


def hdf5_names(keys: Iterable[str]) -> dict[str, str]:
    """Return the path of each key inside its group, no two the same and none a part of another.

    A key is its own path unless HDF5 would take it for another one ("a//b", "./a", "", a NUL) or it is the group of
    another key ("a" beside "a/b"). Then it is percent-encoded into a single name, and "a" becomes "a (value)".
    """
    keys = list(keys)
    groups: set[str] = set()
    for key in keys:
        position = key.find("/")
        while position >= 0:
            groups.add(key[:position])
            position = key.find("/", position + 1)
    names = {key: key for key in keys if key not in groups and _is_path(key)}
    taken = set(names.values()) | groups
    for key in keys:
        if key in names:
            continue
        name = (
            quote(key.encode("utf-8", "surrogatepass"), safe=_SAFE)
            if not _is_path(key) or "/" in key
            else key
        )
        name = name.replace(".", "%2E") if name in {"", ".", ".."} else name
        name = f"{name} (value)"
        while name in taken:
            name += "'"
        taken.add(name)
        names[key] = name
    return names


def _is_path(key: str) -> bool:
    """Return whether HDF5 takes a key for the path that it looks like."""
    if not key or "\0" in key:
        return False
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return all(part not in {"", "."} for part in key.split("/"))

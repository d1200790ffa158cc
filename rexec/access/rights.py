"""What a person may do on a controller, as the key `allow` of its entry says.

`"allow": {"alice": ["call", "rexec"], "*": ["read"]}`: each right includes the one before it. A person has the rights
of its own line, else those of `*`. Only a name that a certificate or the kernel has proven finds its line. The user who
runs the controller has every right where no line names it: it could start the controller without this file.

The file of rights is JSON, written by `rexec up` (the controllers of a machine in one file) or by
`devicedb show --rights`.
"""

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from rexec.access.identity import Identity
from rexec.access.kernel_user import user_name

_log = logging.getLogger(__name__)
EVERYONE: Final = "*"
REFUSED: Final = "refused: "
"""Beginning of the text of each refusal."""
_LOOK: Final = 0.2
"""Seconds between two looks at the file; a look costs a noticeable part of a small call."""


_MOST: Final = 16 << 20
"""Characters of a file of rights."""


class Right(IntEnum):
    """Rights, each of which includes those before it."""

    NONE = 0
    READ = 1
    """Method lists, `ping`, and methods that the driver marks with `@read_only`."""
    CALL = 2
    """Any method."""
    REXEC = 3
    """Remote execution: any code."""

    @property
    def word(self) -> str:
        """The word in an entry."""
        return self.name.lower()


@dataclass(frozen=True)
class DeviceRights:
    """The rights on one controller.

    Attributes:
        device: Name of its entry.
        place: Where that is: "device_db.py:12".
        allow: Right by name; None: nothing is restricted.
        owner: User who runs the controller; None where the system does not tell.

    """

    device: str
    place: str
    allow: Mapping[str, Right] | None
    owner: str | None = None

    def of(self, who: Identity) -> Right:
        """Return the right of a client."""
        if self.allow is None:
            return Right.REXEC
        if who.is_proven and who.name in self.allow and who.name != EVERYONE:
            return self.allow[who.name]
        if who.known_by == "kernel" and who.name and who.name == self.owner:
            return Right.REXEC
        return self.allow.get(EVERYONE, Right.NONE)

    def refusal(self, who: Identity, what: str, needed: Right) -> str:
        """Return the text of a refusal: who, what, which entry and line, what to do."""
        found = self.of(who)
        has = f"allows {found.word!r} only" if found else "does not allow that"
        text = (
            f"{REFUSED}{who.person} may not {what} of {self.device!r}: that takes {needed.word!r}, and its entry "
            f"({self.place}) {has}"
        )
        if not who.is_proven and self.allow is not None and who.name in self.allow:
            text += ". A claimed name has no rights of its own: connect with a TLS certificate of that name"
        return text


def is_refusal(error: BaseException) -> bool:
    """Return whether a server of this project has refused a request."""
    return isinstance(error, PermissionError) and str(error).startswith(REFUSED)


def right_of(words: Iterable[str]) -> Right:
    """Return the highest right of a list of words.

    Raises:
        ValueError: A word is no right.

    """
    try:
        return max((Right[word.upper()] for word in words), default=Right.NONE)
    except (KeyError, AttributeError) as error:
        raise ValueError(f"a right is 'read', 'call' or 'rexec', not {error}") from None


def device_rights(text: str, device: str) -> DeviceRights:
    """Return the rights on one controller from the text of a file of rights.

    Raises:
        ValueError: The text is no file of rights, or has no such controller.

    """
    try:
        found: Any = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    devices = found.get("devices") if isinstance(found, dict) else None
    entry = devices.get(device) if isinstance(devices, dict) else None
    if not isinstance(entry, dict):
        raise ValueError(f"it has no controller {device!r}")
    allow = entry.get("allow")
    if allow is not None:
        if not isinstance(allow, dict) or not all(isinstance(words, list) for words in allow.values()):
            raise ValueError(f"'allow' of {device!r} is no dict of lists")
        allow = {name: right_of(words) for name, words in allow.items()}
    owner = user_name(os.getuid()) if hasattr(os, "getuid") else None
    return DeviceRights(device, str(entry.get("place", "")), allow, owner)


class RightsFile:
    """The rights on one controller, read again when their file has changed.

    A file that cannot be read any more leaves the last rights in force, and is logged once.

    Args:
        path: The file.
        device: Name of the controller's entry.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no file of rights, or does not have the controller.

    """

    def __init__(self, path: Path, device: str) -> None:
        self.path = path
        self._device = device
        self._stamp = self._look()
        self._rights = self._read()
        self._next_look = time.monotonic() + _LOOK

    def now(self) -> DeviceRights:
        """Return the rights as they are now."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK
            self._reload()
        return self._rights

    def _reload(self) -> None:
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            if not self.path.is_file():  # a pipe would keep the server waiting for its writer
                raise OSError("it is no regular file any more")
            self._rights = self._read()
        except (OSError, ValueError) as error:
            if self._stamp is not None:
                _log.error("%s: the rights cannot be read again, the last ones stay: %s", self.path, error)
            self._stamp = None
        else:
            _log.info("%s: rights read again", self.path)

    def _look(self) -> tuple[int, ...] | None:
        found = os.stat(self.path)
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def _read(self) -> DeviceRights:
        with open(self.path, encoding="utf-8") as file:
            text = file.read(_MOST + 1)
        if len(text) > _MOST:
            raise ValueError(f"it has more than {_MOST} characters")
        return device_rights(text, self._device)

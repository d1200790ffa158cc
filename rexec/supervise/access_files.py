"""What controllers are told of rights and the audit: a file of rights for all, and variables for each."""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devicedb import DeviceDatabase
from devicedb.rights import file_of_rights
from devicedb.whole_file import write_whole
from rexec.access.guard import AUDIT, AUDIT_BEST_EFFORT, AUDIT_CALLS, DEVICE, RIGHTS, SUPERVISOR
from rexec.ground.file_names import file_name

logger = logging.getLogger(__name__)
_MODE: Final = 0o600
_HOUR: Final = 3600.0


def audit_name(name: str) -> str:
    """Return the name of the file in which a controller keeps its audit; rotated ones have a dot in theirs."""
    return f"{file_name(name).replace('.', '%2E')}.jsonl"


@dataclass(frozen=True)
class AuditPlan:
    """What controllers are to record.

    Attributes:
        folder: Where each has its file, NAME.jsonl; None: nothing is recorded.
        calls: Whether to record each call.
        best_effort: Whether to run remote code that cannot be recorded.

    """

    folder: Path | None = None
    calls: bool = False
    best_effort: bool = False

    def variables(self, name: str) -> dict[str, str]:
        """Return the environment variables of a controller."""
        if self.folder is None:
            return {}
        found = {AUDIT: str(self.folder.absolute() / audit_name(name)), SUPERVISOR: str(os.getpid())}
        chosen = {AUDIT_CALLS: self.calls, AUDIT_BEST_EFFORT: self.best_effort}
        return found | {name: "1" for name, is_on in chosen.items() if is_on}


class AccessFiles:
    """Keeps the file of rights equal to a device database.

    Args:
        audit: What controllers are to record.

    Raises:
        OSError: There is no room for temporary files, or the folder of the audit cannot be made.

    """

    def __init__(self, audit: AuditPlan | None = None) -> None:
        self._audit = audit or AuditPlan()
        if self._audit.folder is not None:
            self._audit.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="rexec-rights-"))
        self._file = self._folder / "rights.json"
        self._written = ""
        self._keep_again = time.monotonic() + _HOUR

    def write(self, database: DeviceDatabase) -> None:
        """Write what the entries allow; controllers that run read it again."""
        text = file_of_rights(database)
        if text != self._written and self._put(text):
            self._written = text

    def keep(self) -> None:
        """Show once an hour that the file is in use, and mend it if a cleaner of temporary files has removed it."""
        if time.monotonic() < self._keep_again:
            return
        self._keep_again = time.monotonic() + _HOUR
        try:
            os.utime(self._file)
        except OSError:
            self._put(self._written)

    def _put(self, text: str) -> bool:
        try:
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            write_whole(self._file, text.encode(), _MODE)
        except OSError as error:
            logger.error("%s cannot be written, the last rights stay: %s", self._file, error)
            return False
        return True

    def variables(self, name: str) -> Mapping[str, str]:
        """Return environment variables for the command of a controller."""
        return {RIGHTS: str(self._file), DEVICE: name, **self._audit.variables(name)}

    def close(self) -> None:
        """Remove the file."""
        shutil.rmtree(self._folder, ignore_errors=True)

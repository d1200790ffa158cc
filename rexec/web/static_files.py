"""Scripts, styles and the one document of the page, read once: a request chooses a name of a dict, never a path."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rexec.web.errors import WebError

_FOLDER: Final = Path(__file__).with_name("static")
_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
}
PLOTLY: Final = "plotly.min.js"
SHELL: Final = "index.html"


@dataclass(frozen=True)
class StaticFile:
    """A file that is served.

    Attributes:
        content: Its bytes.
        media_type: Its media type.
        etag: Changes with its bytes.

    """

    content: bytes
    media_type: str
    etag: str


def static_files() -> dict[str, StaticFile]:
    """Return the files by name.

    Raises:
        WebError: plotly is not installed.

    """
    found = {path.name: path for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}
    found[PLOTLY] = plotly_file()
    return {name: _read(path) for name, path in found.items()}


def plotly_file() -> Path:
    """Return where plotly's wheel has its script."""
    spec = importlib.util.find_spec("plotly")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    files = [Path(folder) / "package_data" / PLOTLY for folder in folders]
    path = next((each for each in files if each.is_file()), None)
    if path is None:
        raise WebError("the page needs plotly: pip install 'artiq-rexec[web]'")
    return path


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    return StaticFile(content, _TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')

"""Writes the controllers of this machine as configuration of other process managers.

Pure functions from specifications to files by name. What a format cannot hold is refused before any file is made.
"""

import json
import math
import re
import shlex
import shutil
from collections.abc import Mapping
from typing import Any, Final

from rexec.supervise.errors import ExportError
from rexec.supervise.process import environment
from rexec.supervise.selection import Spec
from rexec.supervise.unit_names import program_name, systemd_name

FORMATS: Final = ("systemd", "supervisord", "compose")

_REOPENED: Final = "''"
"""Ends a quoted part of a word and begins another."""
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def export(kind: str, specs: Mapping[str, Spec], own: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a configuration, text by file name.

    Args:
        kind: One of `FORMATS`.
        specs: The controllers.
        own: Environment of this process; its PATH (interpreter's folder first) goes into the configuration.

    Raises:
        ExportError: The format cannot hold a command, a variable or the working folder of a controller.

    """
    for spec in specs.values():
        _check(spec, own)
    if kind == "systemd":
        return {f"{systemd_name(name)}.service": unit(spec, own) for name, spec in specs.items()}
    if kind == "supervisord":
        return {"controllers.conf": "\n".join(program(spec, own) for spec in specs.values())}
    return {"compose.yaml": compose(specs, own)}


def variables(spec: Spec, own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a controller's process needs in addition to the manager's environment."""
    kept = {name: own[name] for name in ("PATH", "ARTIQ_SSL_DIR", "PYTHONPATH") if name in own}
    return environment(kept, spec.environment)


def unit(spec: Spec, own: Mapping[str, str]) -> str:
    """Return a systemd unit (systemd.service(5), quoting of systemd.syntax(7)); ExportError if it cannot hold it."""
    found = variables(spec, own)
    words = _words(spec, found)
    folder = str(spec.folder)
    # systemd checks the path after its own unquoting, and does not replace `$$` in it.
    if not re.fullmatch(r"[^-@:+!|$\"'\\\x00-\x20\x7f][^$\"'\\\x00-\x1f\x7f]*", words[0]):
        raise ExportError(spec.name, f"systemd cannot start a program of this path: {words[0]!r}")
    if _CONTROLS.search(folder) or folder != folder.strip() or folder.endswith("\\"):
        raise ExportError(spec.name, f"a unit cannot name its working folder {folder!r}")
    for name, value in found.items():
        if _CONTROLS.search(value.replace("\t", "").replace("\n", "")):
            raise ExportError(spec.name, f"systemd ignores variables with control characters: {name}")
    command = " ".join([_quoted(words[0]), *(_quoted(word).replace("$", "$$") for word in words[1:])])
    said = f"{spec.name} at {spec.endpoint.address}"
    lines = [
        "[Unit]",
        f"Description=ARTIQ controller {_c_escaped(said).replace('%', '%%')}",
        "After=network-online.target",
        "Wants=network-online.target",
        # No limit on restarts, even with a short retry_timer.
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        f"ExecStart={command}",
        f"WorkingDirectory={folder.replace('%', '%%')}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in found.items()),
        "Restart=always",
        f"RestartSec={_seconds(spec.retry_timer)}",
        f"TimeoutStopSec={_seconds(spec.term_timeout)}",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def program(spec: Spec, own: Mapping[str, str]) -> str:
    """Return a section of supervisord's configuration (https://supervisord.org/configuration.html).

    supervisord's list of variables has no escapes. Values with quotes or white space are therefore set by `env` in the
    command, which is split as by a shell. `%` is doubled in both.

    Raises:
        ExportError: A command, a variable or the folder has a control character, or the folder what would be a comment.

    """
    found = variables(spec, own)
    plain = {name: value for name, value in found.items() if not re.search(r"[\"'\\;#\s]", value)}
    others = [f"{name}={value}" for name, value in found.items() if name not in plain]
    words = _words(spec, found)
    folder = str(spec.folder)
    for text in (*words, *found.values(), folder):
        if _CONTROLS.search(text):
            raise ExportError(spec.name, f"supervisord's format cannot hold control characters: {text!r:.80}")
    if re.search(r"\s[;#]", folder) or folder != folder.strip():
        raise ExportError(spec.name, f"supervisord's format cannot hold its working folder {folder!r}")
    if others and "=" in words[0]:
        raise ExportError(spec.name, f"`env` cannot start a program of this path: {words[0]!r}")
    command = shlex.join([*(["env", *others] if others else []), *words])
    # A ; or # after white space begins a comment, but not between two quoted parts of a word.
    command = re.sub(r"(?<=\s)(?=[;#])", _REOPENED, command)
    lines = [
        f"; {_c_escaped(spec.name)} at {_c_escaped(spec.endpoint.address)}",
        f"[program:{program_name(spec.name)}]",
        f"command={_doubled(command)}",
        f"directory={_doubled(folder)}",
        "environment=" + ",".join(f'{name}="{_doubled(value)}"' for name, value in plain.items()),
        "autorestart=true",
        # The default is three attempts. supervisord waits a second longer after each.
        "startretries=1000000",
        f"stopwaitsecs={math.ceil(min(spec.term_timeout, 1e9))}",
        "stopasgroup=true",
        "killasgroup=true",
        "redirect_stderr=true",
    ]
    return "\n".join(lines) + "\n"


def compose(specs: Mapping[str, Spec], own: Mapping[str, str]) -> str:
    """Return a Compose file as JSON, which is also YAML. Its image is ${CONTROLLER_IMAGE}; other `$` are doubled."""
    services: dict[str, Any] = {}
    for name, spec in specs.items():
        added = {key: value for key, value in variables(spec, own).items() if key != "PATH"}
        services[program_name(name)] = {
            "image": "${CONTROLLER_IMAGE:?an image that has the controllers installed}",
            "labels": _dollars({"controller": spec.name, "address": spec.endpoint.address}),
            "command": [word.replace("$", "$$") for word in spec.words],
            "environment": _dollars(added),
            "working_dir": "/lab",
            "volumes": [
                {
                    "type": "bind",
                    "source": str(spec.folder).replace("$", "$$"),
                    "target": "/lab",
                    "read_only": True,
                }
            ],
            "network_mode": "host",
            "restart": "always",
            "stop_grace_period": f"{_seconds(spec.term_timeout)}s",
        }
    return _yaml(json.dumps({"services": services}, indent=2, ensure_ascii=False)) + "\n"


def _check(spec: Spec, own: Mapping[str, str]) -> None:
    """Refuse what no process can be started with."""
    found = variables(spec, own)
    for text in (spec.name, str(spec.folder), *spec.words, *found, *found.values()):
        if "\0" in text or text != text.encode("utf-8", "replace").decode():
            raise ExportError(spec.name, f"text with a null character or no UTF-8: {text!r:.80}")
    for name in found:
        if not _VARIABLE.fullmatch(name):
            raise ExportError(
                spec.name, f"{name!r:.80} is no name of a variable (letters, digits, underscores)"
            )


def _words(spec: Spec, found: Mapping[str, str]) -> tuple[str, ...]:
    """Return a command line with the absolute path of its program, because these managers have another PATH."""
    first, *others = spec.words
    return (shutil.which(first, path=found["PATH"]) or first, *others)


def _quoted(word: str) -> str:
    """Return a word in quotes, escaped for systemd."""
    return '"' + _c_escaped(word).replace('"', '\\"').replace("%", "%%") + '"'


def _c_escaped(text: str) -> str:
    """Return text in which backslashes are doubled and characters that are not printable are escaped as in C."""
    return "".join(char if char.isprintable() else _c_code(ord(char)) for char in text.replace("\\", "\\\\"))


def _c_code(point: int) -> str:
    r"""Return the escape of a code point; systemd takes `\xHH` for a byte, not for a character."""
    return f"\\x{point:02x}" if point < 0x80 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _doubled(text: str) -> str:
    return text.replace("%", "%%")


def _dollars(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text.replace("$", "$$") for name, text in texts.items()}


def _yaml(text: str) -> str:
    """Escape the characters that JSON allows and YAML does not."""
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda each: f"\\u{ord(each[0]):04x}", text)


def _seconds(duration: float) -> str:
    """Return a duration without exponent, which neither systemd nor Compose reads; at most some thirty years."""
    return f"{min(duration, 1e9):.3f}".rstrip("0").rstrip(".")

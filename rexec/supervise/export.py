"""The controllers of this machine as configuration of process managers that laboratories already run.

Pure functions from specifications to files by name.
"""

import json
import re
import shlex
import shutil
from collections.abc import Mapping
from typing import Final

from rexec.supervise.process import environment
from rexec.supervise.selection import Spec

FORMATS: Final = ("systemd", "supervisord", "compose")

_REOPENED: Final = "''"
"""Ends a quoted part of a word and begins another."""


def export(kind: str, specs: Mapping[str, Spec], own: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a configuration, text by file name.

    Args:
        kind: One of `FORMATS`.
        specs: The controllers.
        own: Environment of this process, of which PATH (the interpreter's folder first) goes into the
            configuration.

    """
    if kind == "systemd":
        return {f"{unit_name(name)}.service": unit(spec, own) for name, spec in specs.items()}
    if kind == "supervisord":
        return {"controllers.conf": "\n".join(program(spec, own) for spec in specs.values())}
    return {"compose.yaml": compose(specs, own)}


def unit_name(name: str) -> str:
    """Return the name of a unit or program: characters that these managers refuse become dashes."""
    return "controller-" + "".join(
        each if each.isascii() and (each.isalnum() or each in "_.-") else "-" for each in name
    )


def variables(spec: Spec, own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that a controller's process needs beside the manager's own."""
    kept = {name: own[name] for name in ("PATH", "ARTIQ_SSL_DIR", "PYTHONPATH") if name in own}
    return environment(kept, spec.environment)


def unit(spec: Spec, own: Mapping[str, str]) -> str:
    """Return a systemd unit (systemd.service(5), quoting of systemd.syntax(7))."""
    found = variables(spec, own)
    command = " ".join(_systemd(word).replace("$", "$$") for word in _words(spec, found))
    lines = [
        "[Unit]",
        f"Description=ARTIQ controller {spec.name.replace('%', '%%')} at {spec.endpoint.address}",
        "After=network-online.target",
        "Wants=network-online.target",
        # It is to be restarted for ever, however short its retry_timer is.
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        f"ExecStart={command}",
        f"WorkingDirectory={str(spec.folder).replace('%', '%%')}",
        *(f"Environment={_systemd(f'{name}={value}')}" for name, value in found.items()),
        "Restart=always",
        f"RestartSec={spec.retry_timer:g}",
        f"TimeoutStopSec={spec.term_timeout:g}",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def program(spec: Spec, own: Mapping[str, str]) -> str:
    """Return a section of supervisord's configuration (https://supervisord.org/configuration.html).

    Its list of variables knows no escapes, so that values with quotes and the like go through `env` into the command,
    which is split as by a shell. `%` is doubled in both.
    """
    found = variables(spec, own)
    plain = {name: value for name, value in found.items() if not re.search(r"[\"'\\;#\s]", value)}
    others = [f"{name}={value}" for name, value in found.items() if name not in plain]
    command = shlex.join([*(["env", *others] if others else []), *_words(spec, found)])
    lines = [
        f"[program:{unit_name(spec.name)}]",
        # White space and then ; or # begins a comment; between two quoted parts of a word it does not.
        f"command={re.sub(r'(?<=[ ])(?=[;#])', _REOPENED, command)}",
        f"directory={spec.folder}",
        "environment=" + ",".join(f'{name}="{value}"' for name, value in plain.items()),
        "autorestart=true",
        # supervisord gives up after three failures otherwise; it waits a second longer after each.
        "startretries=1000000",
        f"stopwaitsecs={spec.term_timeout:.0f}",
        "stopasgroup=true",
        "killasgroup=true",
        "redirect_stderr=true",
    ]
    return "\n".join(line.replace("%", "%%") for line in lines) + "\n"


def compose(specs: Mapping[str, Spec], own: Mapping[str, str]) -> str:
    """Return a Compose file; JSON, which is YAML too. Its image is ${CONTROLLER_IMAGE}, `$` is doubled elsewhere."""
    services = {}
    for name, spec in specs.items():
        added = {key: value for key, value in variables(spec, own).items() if key != "PATH"}
        services[unit_name(name)] = {
            "image": "${CONTROLLER_IMAGE:?an image that has the controllers installed}",
            "command": [word.replace("$", "$$") for word in spec.words],
            "environment": {key: value.replace("$", "$$") for key, value in added.items()},
            "working_dir": "/lab",
            "volumes": [f"{spec.folder}:/lab:ro".replace("$", "$$")],
            "network_mode": "host",
            "restart": "always",
            "stop_grace_period": f"{spec.term_timeout:g}s",
        }
    return json.dumps({"services": services}, indent=2) + "\n"


def _words(spec: Spec, found: Mapping[str, str]) -> tuple[str, ...]:
    """Return a command line with the path of its program: these managers look for it on a PATH of their own."""
    first, *others = spec.words
    return (shutil.which(first, path=found["PATH"]) or first, *others)


def _systemd(word: str) -> str:
    """Return a word in quotes, with what means something to systemd escaped."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")
    return f'"{escaped}"'

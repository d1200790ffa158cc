"""Rules about `allow`, which says who may use a controller, and `exclusive`."""

import base64
import binascii
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from devicedb.model.database import CheckedDatabase, Entry, is_known, is_loopback, kind_of, shown
from devicedb.plain import EVERYONE, RIGHTS
from devicedb.rules.registry import Hit, Severity, entry_rule
from devicedb.suggest import did_you_mean

_TLS: Final = '"simple_ssl_config": {"client_cert": "c.pem", "client_key": "k.pem", "server_cert": "s.pem"}'
_SERVER_FILES: Final = re.compile(r"--ssl\s+\S+\s+\S+\s+(\S+)")
_COMMON_NAME: Final = b"\x06\x03\x55\x04\x03"
"""The object identifier 2.5.4.3 in DER."""
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


def _database(allow: str, rest: str = '"host": "::1", "port": 6283') -> str:
    return f'device_db = {{"camera": {{"type": "controller", {rest},\n    {allow}}}}}\n'


def _with_certificate_of_bob(person: str) -> str:
    """Return an example: a database, and a file of certificates with one name and nothing else."""
    command = '"command": "aqctl_camera -p {port} --ssl server.pem server.key clients.pem"'
    text = base64.b64encode(b"\x31\x0b" + _COMMON_NAME + b"\x0c\x03bob").decode()
    database = _database(f'{command},\n    "allow": {{"{person}": ["call"]}}, {_TLS}')
    return f"{database}# file: clients.pem\n-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"


GOOD: Final = _database('"allow": {"alice": ["call", "rexec"], "*": ["read"]}')


@entry_rule(
    "DDB415",
    Severity.ERROR,
    "allow says nothing that a server understands",
    why="`allow` is a dict: a person's name, or `*` for everyone else, and a list of the words read, call, rexec. "
    "`rexec up` does not start a controller whose `allow` is anything else.",
    bad=_database('"allow": {"alice": ["call", "exec"]}'),
    good=GOOD,
    kinds=("controller",),
)
def meaningless_rights(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    allow = entry.raw.get("allow")
    if allow is None or not is_known(allow):
        return
    if not isinstance(allow, dict):
        text = f"'allow' of {entry.name!r} is {kind_of(allow)}; it must be a dict of names and lists"
        yield Hit(entry.at("allow"), text, 'write {"*": ["call"]}', entry.name)
        return
    for person, words in allow.items():
        site = entry.at("allow", person)
        if not isinstance(person, str) or not person.strip():
            yield Hit(site, f"{shown(person)} in 'allow' of {entry.name!r} is no name", "", entry.name)
        elif not isinstance(words, list):
            hint = f"write [{words!r}]" if isinstance(words, str) and words in RIGHTS else 'write ["call"]'
            text = f"'allow' of {entry.name!r} has {kind_of(words)} for {person!r}; it must be a list"
            if is_known(words):
                yield Hit(site, text, hint, entry.name)
        else:
            for index, word in enumerate(words):
                if is_known(word) and word not in RIGHTS:
                    yield _unknown(entry, person, index, word)


def _unknown(entry: Entry, person: str, index: int, word: Any) -> Hit:
    hint = did_you_mean(word, RIGHTS).strip() if isinstance(word, str) else ""
    text = f"{shown(word)} for {person!r} in 'allow' of {entry.name!r} is no right; there are {', '.join(RIGHTS)}"
    return Hit(entry.at("allow", person, index), text, hint, entry.name)


@entry_rule(
    "DDB416",
    Severity.WARNING,
    "allow names persons whom nothing identifies",
    why="Beyond this machine a name is known only by a TLS certificate. Without one everybody has the rights of `*`, "
    "so that the other names in `allow` have no effect.",
    bad=_database('"allow": {"alice": ["call"]}', '"host": "10.0.0.3", "port": 6283'),
    good=_database(f'"allow": {{"alice": ["call"]}}, {_TLS}', '"host": "10.0.0.3", "port": 6283'),
    kinds=("controller",),
)
def unidentified_persons(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    allow, host = entry.raw.get("allow"), entry.raw.get("host")
    if not isinstance(allow, dict) or not isinstance(host, str) or not host or is_loopback(host):
        return
    if entry.raw.get("simple_ssl_config") is not None:
        return
    named = [person for person in allow if person != EVERYONE]
    if named:
        text = (
            f"'allow' of {entry.name!r} names {_listed(named)}, but nothing identifies them on {host}: "
            "without TLS a name is only claimed"
        )
        yield Hit(entry.at("allow"), text, "give it a 'simple_ssl_config' (`rexec certs`)", entry.name)


@entry_rule(
    "DDB417",
    Severity.WARNING,
    "person without a certificate",
    why="A person is known by the common name of the client's certificate. The file of trusted certificates that the "
    "command names has none of that name, so that the person has the rights of `*`.",
    bad=_with_certificate_of_bob("alice"),
    good=_with_certificate_of_bob("bob"),
    kinds=("controller",),
)
def person_without_certificate(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    allow = entry.raw.get("allow")
    found = _SERVER_FILES.search(entry.text("command") or "")
    if not isinstance(allow, dict) or found is None or "{" in found[1]:
        return
    path = Path(db.folder, found[1])
    try:
        names = common_names(path.read_bytes()) if path.is_file() else None
    except OSError:
        return
    if names is None:
        return
    for person in allow:
        if isinstance(person, str) and person != EVERYONE and person not in names:
            near = did_you_mean(person, sorted(names)).strip()
            hint = near or f"`rexec certs FOLDER --add {person}` makes one"
            text = (
                f"'allow' of {entry.name!r} names {person!r}, but {found[1]} has no certificate of that name"
            )
            yield Hit(entry.at("allow", person), text, hint, entry.name)


def common_names(text: bytes) -> set[str]:
    """Return the common names of the certificates in a PEM file, as far as they can be read."""
    names: set[str] = set()
    for block in _PEM.findall(text):
        try:
            der = base64.b64decode(b"".join(block.split()), validate=True)
        except binascii.Error:
            continue
        # The subject follows the issuer, which may have another name.
        _, mark, rest = der.rpartition(_COMMON_NAME)
        if mark and len(rest) > 2 and rest[1] < 128:
            names.add(rest[2 : 2 + rest[1]].decode("utf-8", "replace"))
    return names


@entry_rule(
    "DDB418",
    Severity.WARNING,
    "allow or exclusive on an entry that is no controller",
    why="Rights and exclusive use belong to the controller, whose server enforces them for all its targets. "
    "On any other entry the key has no effect.",
    bad='device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283},\n    "rexec": '
    '{"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec",\n'
    '        "allow": {"alice": ["rexec"]}}}\n',
    good=GOOD,
    kinds=("local", "controller_aux_target", "dummy"),
)
def rights_of_no_controller(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    for key in ("allow", "exclusive"):
        if key in entry.raw:
            behind = entry.text("controller") if entry.kind == "controller_aux_target" else None
            hint = f"move it to the entry of {behind!r}" if behind else ""
            text = f"{key!r} of {entry.name!r} has no effect: it belongs to the entry of a controller"
            yield Hit(entry.key_at(key), text, hint, entry.name)


def _listed(names: list[Any]) -> str:
    text = ", ".join(shown(name) for name in names[:3])
    return f"{text} and {len(names) - 3} more" if len(names) > 3 else text

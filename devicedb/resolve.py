"""From a name to the entry behind it, and to the endpoint that a client connects to. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from devicedb.errors import (
    AliasLoopError,
    InvalidEntryError,
    MissingVariableError,
    NotAControllerError,
    UnknownDeviceError,
)
from devicedb.plain import PlainController, PlainTarget, plain
from devicedb.suggest import did_you_mean, nearest

if TYPE_CHECKING:  # the models are heavy; a check of a database does without them
    from schemas.device_db import Controller, ControllerAuxTarget, DummyDevice, LocalDevice

    AnyEntry: TypeAlias = LocalDevice | Controller | ControllerAuxTarget | DummyDevice


@dataclass(frozen=True)
class Resolution:
    """What a name stands for."""

    name: str
    """The name that was asked for."""
    chain: tuple[str, ...]
    """Every name followed, from `name` to `entry_name`."""
    entry_name: str
    entry: "AnyEntry"
    raw: dict[str, Any]
    """The entry as written; read-only."""


@dataclass(frozen=True)
class TLSFiles:
    """Certificate paths of a connection, environment variables expanded."""

    client_cert: str
    client_key: str
    server_cert: str


@dataclass(frozen=True)
class Endpoint:
    """What a client needs to connect to a device."""

    name: str
    chain: tuple[str, ...]
    """Every name followed, from `name` to `entry_name`."""
    entry_name: str
    controller: str
    """The controller's entry: `entry_name`, or the controller of an auxiliary target."""
    host: str
    port: int
    target_name: str | None
    """None: the server's only target."""
    best_effort: bool
    tls: TLSFiles | None
    command: str | None
    """The template that would start the controller; `devicedb.command_line` fills it in."""

    @property
    def address(self) -> str:
        """`HOST:PORT`, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def _repr_html_(self) -> str:
        from devicedb.html import facts, heading

        through = "" if len(self.chain) < 2 else " -> ".join(self.chain)
        target = "the only one" if self.target_name is None else self.target_name
        return heading(self.name, through) + facts(
            [
                ("controller", self.controller),
                ("address", self.address),
                ("target", target),
                ("TLS", "yes" if self.tls is not None else "no"),
                ("command", self.command),
            ]
        )


def walk(raw: Mapping[str, Any], name: str, origin: str) -> tuple[str, ...]:
    """Return every name from `name` through aliases to an entry that is not an alias.

    Raises:
        UnknownDeviceError, AliasLoopError: With the chain followed so far.

    """
    chain = [name]
    seen = {name}
    while True:
        current = chain[-1]
        if current not in raw:
            hint = did_you_mean(current, (each for each in raw if each not in seen))
            if len(chain) == 1:
                raise UnknownDeviceError(f"device {name!r} is not in {origin}.{hint}")
            raise UnknownDeviceError(
                f"device {name!r}: alias {chain[-2]!r} leads to {current!r}, which is not in {origin} "
                f"({arrows(chain)}).{hint}"
            )
        value = raw[current]
        if not isinstance(value, str):
            return tuple(chain)
        chain.append(value)
        if value in seen:
            raise AliasLoopError(
                f"device {name!r}: aliases in {origin} lead in a loop ({arrows(chain)}). One of them must "
                "name a real entry"
            )
        seen.add(value)


def arrows(chain: tuple[str, ...] | list[str]) -> str:
    """Return a chain of names for a message: `a -> b -> c`."""
    return " -> ".join(chain)


def resolve(raw: Mapping[str, Any], name: str, origin: str) -> Resolution:
    """Return the validated entry that a name stands for; see `walk` and `validate_entry` for errors."""
    chain = walk(raw, name, origin)
    entry_name = chain[-1]
    return Resolution(
        name=name,
        chain=chain,
        entry_name=entry_name,
        entry=validate_entry(entry_name, raw[entry_name], origin),
        raw=raw[entry_name],
    )


def validate_entry(name: str, value: object, origin: str) -> "AnyEntry":
    """Return the model of an entry (not an alias); InvalidEntryError names the entry and every bad field."""
    from pydantic import ValidationError

    from schemas.device_db import ENTRY_ADAPTER

    where = f"entry {name!r} in {origin}"
    if isinstance(value, tuple) and len(value) == 1:
        raise InvalidEntryError(f"{where} is a tuple of one. Is there a trailing comma after it?")
    if not isinstance(value, dict):
        raise InvalidEntryError(
            f"{where} is of type {type(value).__name__}; it must be a dict, or a str that names another entry"
        )
    kinds = ("local", "controller", "controller_aux_target", "dummy")
    if "type" not in value:
        raise InvalidEntryError(f"{where} has no 'type'; one of {', '.join(kinds)}")
    kind = value["type"]
    if kind not in kinds:
        hint = did_you_mean(kind, kinds) if isinstance(kind, str) else ""
        raise InvalidEntryError(f"{where} has the unknown type {kind!r}; one of {', '.join(kinds)}.{hint}")
    try:
        return ENTRY_ADAPTER.validate_python(value)
    except ValidationError as error:
        raise InvalidEntryError(f"{where}: {faults(error.errors(include_url=False), value)}") from None


def faults(errors: list[Any], value: Mapping[str, Any]) -> str:
    """Render the errors of a pydantic validation as one readable line."""
    parts = []
    for error in errors:
        path = ".".join(str(step) for step in error["loc"][1:])
        if error["type"] == "missing":
            near = nearest(path, [key for key in value if isinstance(key, str)])
            parts.append(f"'{path}' is missing" + (f" (there is {near!r})" if near else ""))
        else:
            parts.append(f"'{path}' is {error['input']!r}: {error['msg'][:1].lower()}{error['msg'][1:]}")
    return "; ".join(parts)


def endpoint(raw: Mapping[str, Any], name: str, origin: str, environ: Mapping[str, str]) -> Endpoint:
    """Return where and how to connect to a device that is a controller or a target of one.

    Args:
        raw, name, origin: The database, the name asked for, and where the database comes from.
        environ: Environment in which `{ARTIQ_SSL_DIR}` is looked up.

    Raises:
        UnknownDeviceError: The name, or what an alias stands for, is not in the database.
        AliasLoopError: The aliases lead back to one of them.
        InvalidEntryError: The entry is invalid.
        NotAControllerError: It is not a controller: there is nothing to connect to.
        MissingVariableError: It names `{ARTIQ_SSL_DIR}`, which is not set.

    """
    chain, entry = _followed(raw, name, origin)
    if entry.type == "controller":
        return _endpoint(chain, chain[-1], entry, entry.target_name, None, origin, environ)
    if entry.type != "controller_aux_target":
        raise NotAControllerError(
            f"device {name!r} ({arrows(chain)}) in {origin} is of type {entry.type!r}: "
            "there is no controller to connect to"
        )
    try:
        behind, controller = _followed(raw, entry.controller, origin)
    except (UnknownDeviceError, AliasLoopError, InvalidEntryError) as error:
        raise type(error)(f"device {name!r} ({arrows(chain)}) needs its controller: {error}") from None
    if controller.type != "controller":
        raise NotAControllerError(
            f"device {name!r} ({arrows(chain)}) in {origin} names {entry.controller!r} "
            f"({arrows(behind)}) as its controller, which is of type {controller.type!r}"
        )
    return _endpoint(chain, behind[-1], controller, entry.target_name, entry.best_effort, origin, environ)


def _followed(
    raw: Mapping[str, Any], name: str, origin: str
) -> tuple[tuple[str, ...], "AnyEntry | PlainController | PlainTarget"]:
    """Return the names that a name leads through, and the facts of the entry at their end."""
    chain = walk(raw, name, origin)
    value = raw[chain[-1]]
    return chain, plain(value) or validate_entry(chain[-1], value, origin)


def _endpoint(
    chain: tuple[str, ...],
    controller_name: str,
    controller: "Controller | PlainController",
    target_name: str | None,
    best_effort: bool | None,
    origin: str,
    environ: Mapping[str, str],
) -> Endpoint:
    if controller.host is None:
        raise InvalidEntryError(
            f"device {chain[0]!r}: controller {controller_name!r} in {origin} has host None: "
            "there is nothing to connect to"
        )
    tls = None
    if controller.simple_ssl_config is not None:
        config = controller.simple_ssl_config
        paths = (config.client_cert, config.client_key, config.server_cert)
        tls = TLSFiles(*(_expand(path, controller_name, origin, environ) for path in paths))
    return Endpoint(
        name=chain[0],
        chain=chain,
        entry_name=chain[-1],
        controller=controller_name,
        host=controller.host,
        port=controller.port,
        target_name=target_name,
        best_effort=controller.best_effort if best_effort is None else best_effort,
        tls=tls,
        command=controller.command,
    )


def _expand(path: str, controller: str, origin: str, environ: Mapping[str, str]) -> str:
    """Return a path of `simple_ssl_config` with `{ARTIQ_SSL_DIR}` filled in."""
    if "{ARTIQ_SSL_DIR}" not in path:
        return path
    if "ARTIQ_SSL_DIR" not in environ:
        raise MissingVariableError(
            f"controller {controller!r} in {origin} uses TLS with {path!r}, but the environment variable "
            "ARTIQ_SSL_DIR is not set. Set it to the folder of the certificates"
        )
    return path.replace("{ARTIQ_SSL_DIR}", environ["ARTIQ_SSL_DIR"])

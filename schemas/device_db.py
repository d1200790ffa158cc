"""The entries of a device database, as ARTIQ and its controller manager read them.

Models are strict about what would fail and lenient about everything else: keys that nothing here knows are
kept, since laboratories use them (`comment`) and command templates read them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter

Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP port. A string of digits is taken too: ARTIQ does."""

Text = Annotated[str, Field(min_length=1)]
"""A string that is not empty."""

TargetName = Annotated[str, Field(min_length=1, pattern=r"^\S+$")]
"""The name of an RPC target: the protocol separates it by white space, so it has none."""


class _EntryModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)


class TLSConfig(_EntryModel):
    """Certificates of a controller behind TLS; `{ARTIQ_SSL_DIR}` stands for that environment variable."""

    client_cert: Text = Field(description="File of the certificate that the client presents.")
    client_key: Text = Field(description="File of the client's private key.")
    server_cert: Text = Field(
        description="File of one or more certificates; the server must present one of them."
    )


class LocalDevice(_EntryModel):
    """A driver that lives in the process of the experiment: the core device and what hangs on it."""

    type: Literal["local"]
    module: Text = Field(description="Module to import, for example artiq.coredevice.ttl.")
    class_: Text = Field(alias="class", description="Class in that module; gets the device manager first.")
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="Keyword arguments of the constructor, the device manager left out."
    )


class Controller(_EntryModel):
    """A driver behind a network server, reached by RPC."""

    type: Literal["controller"]
    host: Text | None = Field(description="Where the server runs. None: nowhere (no hardware).")
    port: Port = Field(description="TCP port of the server.")
    target_name: TargetName | None = Field(
        default=None, description="Which of the server's targets; optional if there is only one."
    )
    best_effort: bool = Field(default=False, description="Whether a call that fails returns None instead.")
    command: str | None = Field(
        default=None,
        description="How the controller manager starts the server; {port}, {bind}, {name} and every "
        "key of the entry are filled in.",
    )
    port_proxy: Port | None = Field(
        default=None, description="Port of the proxy that the server opens besides."
    )
    simple_ssl_config: TLSConfig | None = Field(default=None, description="Certificates, where TLS is used.")
    ping_timer: float = Field(default=30.0, gt=0, description="Seconds between two pings of the manager.")
    ping_timeout: float = Field(default=30.0, gt=0, description="Seconds after which a ping has failed.")
    term_timeout: float = Field(default=30.0, gt=0, description="Seconds that each step of ending may take.")
    retry_timer: float = Field(
        default=5.0, gt=0, description="Seconds before a failed controller is restarted."
    )
    retry_timer_backoff: float = Field(
        default=1.1, ge=1, description="Growth of retry_timer at each failure."
    )
    busy_limit: float | None = Field(
        default=None,
        gt=0,
        description="Seconds without an answer after which `rexec up` restarts the controller though a client is "
        "connected to it. None: never.",
    )
    allow: dict[Text, list[Literal["read", "call", "rexec"]]] | None = Field(
        default=None,
        description="Who may do what: rights by name, '*' for everyone else. 'read': methods that change nothing; "
        "'call': any method; 'rexec': remote execution. Each includes those before it. None: everyone everything.",
    )
    exclusive: bool = Field(default=False, description="Whether one run at a time may use the controller.")
    environment: dict[str, str] = Field(
        default_factory=dict, description="Environment variables for the command, beside the manager's own."
    )


class ControllerAuxTarget(_EntryModel):
    """A further target of the server behind another entry, for example its remote execution."""

    type: Literal["controller_aux_target"]
    controller: Text = Field(description="Name of the controller's entry; an alias will do.")
    target_name: TargetName = Field(description="Which of the server's targets.")
    best_effort: bool | None = Field(default=None, description="None: as the controller.")


class DummyDevice(_EntryModel):
    """An entry that stands for no device at all."""

    type: Literal["dummy"]


Entry = Annotated[
    LocalDevice | Controller | ControllerAuxTarget | DummyDevice,
    Field(discriminator="type"),
]
"""One entry that is no alias. Its `type` says which."""

Alias = Annotated[Text, Field(description="An alias: the name of another entry.")]

ENTRY_ADAPTER: TypeAdapter[LocalDevice | Controller | ControllerAuxTarget | DummyDevice] = TypeAdapter(Entry)
"""Validates one entry."""


class DeviceDB(RootModel[dict[str, Alias | Entry]]):
    """A whole device database: names, each with its entry or, for an alias, another name."""

    model_config = ConfigDict(frozen=True, title="ARTIQ device database")

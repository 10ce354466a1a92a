"""The settings with their types, bounds and defaults; settings.toml explains them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import Field, PrivateAttr, SecretStr, model_validator

from contactsync.settings.file import KEY_FILE_NAME, SOCKET_NAME, SYSTEM_STATE
from contactsync.settings.sign_in import SignIn
from contactsync.settings.types import FILE, LISTEN, AbsolutePath, ConnectionString, NameServers, Number, Section, Whole
from contactsync.settings.web import Web

_REFERENCES = r"^\s*((file|credential|env):\S+\s*)*$"


class Database(Section):
    """The database of the folders; an empty `url` is the embedded PostgreSQL. It may come from `url_file`."""

    url: ConnectionString = SecretStr("")
    url_file: str = Field("", pattern=FILE, description="an absolute path in quotes")
    connect_timeout_seconds: Whole = Field(10, ge=1, le=600)


class State(Section):
    """The daemon's own files."""

    directory: AbsolutePath = SYSTEM_STATE


class Scheduler(Section):
    """The number of runs at the same time, and the times of the daemon."""

    workers: Whole = Field(8, ge=1, le=256)
    per_server: Whole = Field(4, ge=1, le=256)
    rescan_seconds: Whole = Field(60, ge=1, le=86_400)
    drain_seconds: Whole = Field(25, ge=0, le=3600)


class Directory(Section):
    """The limits and time-outs of a run at a directory server."""

    connect_timeout_seconds: Whole = Field(10, ge=1, le=600)
    receive_timeout_seconds: Whole = Field(60, ge=1, le=3600)
    deadline_seconds: Whole = Field(1800, ge=1, le=86_400)
    full_hours: Number = Field(24.0, ge=0, le=8760)
    auto_live_folders: Whole = Field(100, ge=0, le=10_000)
    page_size: Whole = Field(1000, ge=0, le=100_000)
    max_message_bytes: Whole = Field(64 << 20, ge=64 << 10, le=1 << 30)
    max_search_bytes: Whole = Field(4 << 30, ge=1 << 20, le=1 << 40)
    max_entries: Whole = Field(5_000_000, ge=1, le=100_000_000)
    retry_attempts: Whole = Field(4, ge=1, le=20)
    retry_base_seconds: Number = Field(1.0, ge=0.01, le=600)
    retry_max_seconds: Number = Field(30.0, ge=0.01, le=3600)
    dns_servers: NameServers = Field(
        "", description='IP addresses with spaces between them, like "192.0.2.53 [2001:db8::53]:5353"'
    )

    @model_validator(mode="after")
    def _retries_grow(self) -> Self:
        if self.retry_base_seconds > self.retry_max_seconds:
            raise ValueError(
                f"directory.retry_base_seconds ({self.retry_base_seconds:g}) is more than"
                f" directory.retry_max_seconds ({self.retry_max_seconds:g})."
            )
        return self


class MappingLimits(Section):
    """The maximum size of a contact: bytes of a text in UTF-8, values of a list, bytes of a photo."""

    text_bytes: Whole = Field(65_536, ge=64, le=16 << 20)
    values: Whole = Field(100, ge=1, le=10_000)
    photo_bytes: Whole = Field(1 << 20, ge=0, le=64 << 20)


class Guard(Section):
    """What a run may delete and clear without approval."""

    delete_count: Whole = Field(500, ge=0, le=1_000_000_000)
    delete_share: Number = Field(0.2, ge=0, le=1)
    always_allow: Whole = Field(5, ge=0, le=1_000_000_000)
    approval_days: Whole = Field(7, ge=1, le=365)


class Control(Section):
    """The control socket and its permissions."""

    socket: AbsolutePath = SYSTEM_STATE / SOCKET_NAME
    mode: str = Field("0660", pattern="^0?[0-7]{3}$", description='a file mode in octal and in quotes, like "0660"')
    group: str = Field("", pattern="^[^:\\s]*$", description="the name of a group, in quotes")


class Api(Section):
    """The API over TLS, for programs on other machines; an empty `listen`: not at all."""

    listen: str = Field("", pattern=LISTEN, description='an address and a port, like "0.0.0.0:8443" or "[::]:8443"')
    tls_certificate: str = Field("", pattern=FILE, description="an absolute path in quotes")
    tls_key: str = Field("", pattern=FILE, description="an absolute path in quotes")
    tls_client_ca: str = Field("", pattern=FILE, description="an absolute path in quotes")
    requests_per_minute: Whole = Field(3000, ge=1, le=1_000_000)


class History(Section):
    """How long the history is kept."""

    keep_days: Whole = Field(90, ge=1, le=36_500)
    departed_keep_days: Whole = Field(0, ge=0, le=36_500)
    audit_keep_days: Whole = Field(365, ge=0, le=36_500)


class Log(Section):
    """The format, the stream and the level of the log."""

    format: Literal["auto", "json", "console", "journal"] = "auto"
    stream: Literal["stderr", "stdout"] = "stderr"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Metrics(Section):
    """Metrics over HTTP, besides the control socket; with TLS and a password if these are set."""

    listen: str = Field("", pattern=LISTEN, description='an address and a port, like "127.0.0.1:9321" or "[::1]:9321"')
    tls_certificate: str = Field("", pattern=FILE, description="an absolute path in quotes")
    tls_key: str = Field("", pattern=FILE, description="an absolute path in quotes")
    tls_client_ca: str = Field("", pattern=FILE, description="an absolute path in quotes")
    user: str = Field("", pattern=r"^[^:\x00-\x1f]*$", description="a name without a colon, in quotes")
    password_file: str = Field("", pattern=FILE, description="an absolute path in quotes")


class Secrets(Section):
    """The key that seals bind passwords, and the references to passwords that definitions may have."""

    key_file: AbsolutePath = SYSTEM_STATE / KEY_FILE_NAME
    references: str = Field(
        "file:/etc/contactsync/* credential:* env:LDAP_*",
        pattern=_REFERENCES,
        description='patterns of file:/..., credential:... and env:... with spaces between them, like "credential:*"',
    )


class Fleet(Section):
    """Whether several daemons share the definitions of one database, and the name of this one."""

    enabled: bool = False
    name: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,40}$", description='up to 40 letters, digits, ".", "_" and "-"')


class Origin(NamedTuple):
    """Where the value of a setting comes from; `where` is a variable, or a file with the line."""

    source: Literal["environment", "file", "default"] = "default"
    where: str | None = None


class Settings(Section):
    """All settings, validated and immutable."""

    database: Database = Database()
    state: State = State()
    scheduler: Scheduler = Scheduler()
    directory: Directory = Directory()
    mapping: MappingLimits = MappingLimits()
    guard: Guard = Guard()
    control: Control = Control()
    api: Api = Api()
    history: History = History()
    log: Log = Log()
    metrics: Metrics = Metrics()
    secrets: Secrets = Secrets()
    fleet: Fleet = Fleet()
    web: Web = Web()
    sign_in: SignIn = SignIn()
    _origins: dict[str, Origin] = PrivateAttr(default_factory=dict)
    _file: Path | None = PrivateAttr(None)

    @property
    def file(self) -> Path | None:
        """The settings file; None if there is none."""
        return self._file

    def origin(self, name: str) -> Origin:
        """Where the value of a setting, such as `log.level`, comes from."""
        return self._origins.get(name, Origin())

    @property
    def origins(self) -> dict[str, Origin]:
        """The origins of the settings that do not have their default."""
        return self._origins

    def with_origins(self, origins: dict[str, Origin], file: Path | None = None) -> Settings:
        """The same settings with these origins; a setting without one has its default."""
        settings = self.model_copy()
        settings._origins = origins  # noqa: SLF001 -- of the same class
        settings._file = file or self._file  # noqa: SLF001
        return settings

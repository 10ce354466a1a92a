"""The types of settings, and the base of their sections."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr

FILE = r"^(/.*)?$"
LISTEN = r"^$|^([\w.-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$"


def _not_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004 -- pydantic collects ValueError; a bool is an int for Python only
    return value


def _connection_string(value: SecretStr) -> SecretStr:
    try:
        conninfo_to_dict(value.get_secret_value())
    except ProgrammingError:
        raise ValueError from None  # its message may quote the password
    return value


def _absolute(value: Path) -> Path:
    path = value.expanduser()
    if not path.is_absolute():
        raise ValueError
    return path


def _name_servers(value: str) -> str:
    for word in value.split():
        bare = word.count(":") > 1 and not word.startswith("[")
        parts = urlsplit(f"//[{word}]" if bare else f"//{word}")
        ip_address(parts.hostname or "")
        if parts.port == 0:
            raise ValueError
    return value


NameServers = Annotated[str, AfterValidator(_name_servers)]
Whole = Annotated[int, BeforeValidator(_not_bool)]
Number = Annotated[float, BeforeValidator(_not_bool)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
ConnectionString = Annotated[SecretStr, AfterValidator(_connection_string)]


class Section(BaseModel):
    """A table of settings.toml; immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

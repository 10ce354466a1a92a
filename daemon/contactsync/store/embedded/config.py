"""The text of the embedded server's configuration files. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PEER_MAP = "contactsync"

_HEADER = "# Written by contactsync at every start. Put your own settings into local.conf beside this file.\n"


def server_conf(folder: Path, socket_dir: Path, log_dir: Path, options: Mapping[str, str]) -> str:
    """server.conf: a Unix socket, no port, a week of logs, memory for a laptop. `options` override these."""
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": '"' + str(socket_dir).replace('"', '""') + '"',
        "hba_file": str(folder / "hba.conf"),
        "ident_file": str(folder / "ident.conf"),
        "max_connections": "100",
        "shared_buffers": "256MB",  # with less, the backend of a first load of 100,000 contacts writes pages itself
        "wal_buffers": "16MB",  # so that the WAL writer writes during a run
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "on",
        "log_directory": str(log_dir),
        "log_filename": "server-%a.log",  # one for each day of the week, truncated after a week
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_line_prefix": "%m [%p] %q%a ",
        "log_checkpoints": "off",
        **options,
    }
    lines = [f"{name} = {_quoted(value)}\n" for name, value in settings.items()]
    return "".join([_HEADER, *lines, "include_if_exists = 'local.conf'\n"])


def hba_conf() -> str:
    """hba.conf: authentication by the kernel (peer) over the Unix socket, and no other."""
    return f"{_HEADER.partition('.')[0]}.\nlocal all all peer map={PEER_MAP}\n"


def ident_conf(accounts_by_role: Mapping[str, Iterable[str]]) -> str:
    """ident.conf: for each database role, the system accounts that may connect as that role."""
    lines = [f'{PEER_MAP} "{account}" {role}\n' for role, accounts in accounts_by_role.items() for account in accounts]
    return "".join([f"{_HEADER.partition('.')[0]}.\n", *lines])


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"

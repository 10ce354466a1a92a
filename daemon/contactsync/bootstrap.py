"""The composition root: builds the parts that every command needs from the settings.

Each function imports what it builds, so that a command that only reads starts without the engine.
"""

from __future__ import annotations

import os
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contactsync.credentials.bind import BindPasswords
    from contactsync.credentials.references import References
    from contactsync.ldap.connection.cache import SessionCache
    from contactsync.settings.schema import Settings
    from contactsync.store.database import Database
    from contactsync.store.pool import Pool
    from contactsync.sync.observer import Observer
    from contactsync.sync.options import RunOptions
    from contactsync.sync.runner import Runner


def database_of(settings: Settings) -> Database:
    """The database in settings.toml."""
    from contactsync.store.database import Database

    database = settings.database
    return Database(database.url.get_secret_value(), settings.state.directory, database.connect_timeout_seconds)


def build_runner(
    settings: Settings, pool: Pool, observer: Observer | None = None, sessions: SessionCache | None = None
) -> Runner:
    """The runner, with the limits in settings.toml. Raises SecretError if the key file is unusable."""
    from contactsync.sync.runner import Runner

    passwords = bind_passwords(settings)
    passwords.open_box()
    return Runner(pool, passwords, run_options(settings), observer, sessions)


def bind_passwords(settings: Settings) -> BindPasswords:
    """The bind passwords of this machine. Reads no file yet."""
    from contactsync.credentials.bind import BindPasswords
    from contactsync.credentials.sealing import SecretBox

    open_box = cache(partial(SecretBox.from_file, settings.secrets.key_file))
    return BindPasswords(open_box, allowed_references(settings), os.environ)


def allowed_references(settings: Settings) -> References:
    """The references to passwords that definitions may have; none leads to the key or to the URL of the database."""
    from contactsync.credentials.references import References

    secrets = settings.secrets
    url_file = settings.database.url_file
    return References(
        tuple(secrets.references.split()), never=(secrets.key_file, *([Path(url_file)] if url_file else []))
    )


def run_options(settings: Settings) -> RunOptions:
    """The settings of runs."""
    from contactsync.ldap.connection.dns import parse_name_servers
    from contactsync.sync.options import RunOptions

    directory = settings.directory
    return RunOptions(
        connect_timeout=directory.connect_timeout_seconds,
        receive_timeout=directory.receive_timeout_seconds,
        deadline=directory.deadline_seconds,
        full_seconds=directory.full_hours * 3600,
        auto_live_folders=directory.auto_live_folders,
        page_size=directory.page_size,
        max_message_bytes=directory.max_message_bytes,
        max_search_bytes=directory.max_search_bytes,
        max_entries=directory.max_entries,
        retry_attempts=directory.retry_attempts,
        retry_base=directory.retry_base_seconds,
        retry_max=directory.retry_max_seconds,
        map_limits=settings.mapping,
        name_servers=parse_name_servers(directory.dns_servers),
        guard=settings.guard,
    )

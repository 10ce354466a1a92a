"""The composition root: the parts that every command needs, built here from the settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog

from contactsync.credentials.bind import BindPasswords
from contactsync.credentials.sealing import References, SecretBox
from contactsync.ldap.connection.dns import parse_name_servers
from contactsync.ldap.connection.session import Connect
from contactsync.store.embedded import embedded_server
from contactsync.store.migration import migrate
from contactsync.store.pool import Pool, open_pool
from contactsync.sync.guard import GuardLimits
from contactsync.sync.observer import Observer
from contactsync.sync.options import RunOptions
from contactsync.sync.runner import Runner

if TYPE_CHECKING:
    from contactsync.settings import Settings

log = structlog.get_logger()


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The connection string of the database that settings.toml names, or of the embedded one, started on demand."""
    url = settings.database.url.get_secret_value()
    if url:
        yield url
        return
    with embedded_server(settings.state.directory) as conninfo:
        yield conninfo


def revive_database(settings: Settings) -> None:
    """Start the embedded PostgreSQL again if it died under its users; a server with a URL is somebody else's.

    Raises EmbeddedServerError.
    """
    if not settings.database.url.get_secret_value():
        # Who leaves stops it only as the last user, and the caller is one.
        with embedded_server(settings.state.directory):
            log.info("database.revived")


@contextmanager
def ready_pool(settings: Settings, *, max_size: int) -> Iterator[tuple[str, Pool]]:
    """The database brought to the newest schema, and a pool of connections to it."""
    with database(settings) as conninfo:
        applied = migrate(conninfo)
        if applied:
            log.info("database.migrated", migrations=applied)
        with open_pool(conninfo, max_size=max_size, timeout=settings.database.connect_timeout_seconds) as pool:
            yield conninfo, pool


def build_runner(
    settings: Settings, pool: Pool, observer: Observer | None = None, connect: Connect | None = None
) -> Runner:
    """What makes runs, with the limits of settings.toml."""
    return Runner(pool, secret_box(settings), run_options(settings), observer=observer, connect=connect)


def secret_box(settings: Settings) -> SecretBox:
    """What seals and opens bind passwords. Raises SecretError when the key file may not be used."""
    return SecretBox.from_file(settings.secrets.key_file)


def bind_passwords(settings: Settings) -> BindPasswords:
    """What opens, fetches and seals bind passwords on this machine. Reads no file yet."""
    return BindPasswords(partial(secret_box, settings), allowed_references(settings), os.environ)


def allowed_references(settings: Settings) -> References:
    """The references to passwords that definitions may hold; none leads to the key."""
    secrets = settings.secrets
    return References(tuple(secrets.references.split()), never=(secrets.key_file,))


def run_options(settings: Settings) -> RunOptions:
    """The part of settings.toml that runs go by."""
    directory = settings.directory
    return RunOptions(
        connect_timeout=directory.connect_timeout_seconds,
        receive_timeout=directory.receive_timeout_seconds,
        deadline=directory.deadline_seconds,
        full_seconds=directory.full_hours * 3600,
        auto_live_folders=directory.auto_live_folders,
        page_size=directory.page_size,
        max_message_bytes=directory.max_message_bytes,
        retry_attempts=directory.retry_attempts,
        retry_base=directory.retry_base_seconds,
        retry_max=directory.retry_max_seconds,
        map_limits=settings.mapping,
        name_servers=parse_name_servers(directory.dns_servers),
        guard=GuardLimits(**settings.guard.model_dump()),
        references=allowed_references(settings),
    )

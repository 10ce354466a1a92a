"""Checks at the start of a daemon with [fleet]; nothing here runs without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.errors import SettingsError
from contactsync.fleet.identity import NodeIdentity, default_name
from contactsync.settings.extras import install_hint, is_installed

if TYPE_CHECKING:
    from contactsync.settings.schema import Settings


def node_identity(settings: Settings) -> NodeIdentity | None:
    """Who this process is in the fleet; None without one. Raises SettingsError."""
    if not settings.fleet.enabled:
        return None
    if not settings.database.url.get_secret_value():
        raise SettingsError(
            "[fleet] is enabled, and [database] url is empty: other machines cannot use the embedded database.",
            hint="Set [database] url to a PostgreSQL that all nodes reach, or set [fleet] enabled = false.",
        )
    if not is_installed("fleet"):
        raise SettingsError(
            "[fleet] is enabled, and the Python package procrastinate is not installed.", hint=install_hint("fleet")
        )
    return NodeIdentity(settings.fleet.name or default_name())


def prepare_fleet(settings: Settings, conninfo: str) -> list[str]:
    """Create or update the tables of the queue, if there is a fleet. Raises SettingsError, DatabaseError."""
    if node_identity(settings) is None:
        return []
    from contactsync.fleet.jobs.schema import prepare_queue  # noqa: PLC0415 -- only a fleet needs procrastinate

    return prepare_queue(conninfo)

"""Reads definitions and checks them, before the schedule follows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from contactsync.dispatch.followed import Followed, content_of
from contactsync.errors import ContactsyncError, DatabaseUnavailable
from contactsync.ldap.connection.options import missing_password
from contactsync.store.definitions import read_definitions, read_locks, set_states
from contactsync.sync.definition import resolve

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition

log = structlog.get_logger()


class DefinitionReader:
    """Reads definitions from the table as the schedule keeps them.

    `accept_password` is the function of operations/secrets/new_passwords.py.
    `unmarked` has the ids of the definitions whose state could not be stored yet.
    """

    def __init__(self, accept_password: Callable[[Connection[Any], Definition], Definition]) -> None:
        self._accept_password = accept_password
        self.unmarked: set[int] = set()

    def read(self, connection: Connection[Any], ids: list[int], *, leads: bool) -> dict[int, Followed]:
        """Those of these definitions that exist, checked; the leader stores and logs the result of the check.

        Raises DatabaseError.
        """
        checked = [
            self._checked(connection, definition, leads=leads) for definition in read_definitions(connection, ids)
        ]
        if leads:
            reasons = {each.definition_id: each.reason for each in checked}
            changed_states, unmarked = set_states(connection, reasons)
            self.unmarked = self.unmarked.difference(ids) | unmarked
            for each in checked:
                if each.reason and each.definition_id in changed_states:
                    log_of(each).error("definition.invalid", reason=each.reason)
        locks = read_locks(connection, ids)
        followed = {each.definition_id: each for each in checked}
        return followed | {
            key: replace(followed[key], locked=locked) for key, locked in locks.items() if key in followed
        }

    def _checked(self, connection: Connection[Any], definition: Definition, *, leads: bool) -> Followed:
        try:
            resolved = resolve(definition)
            if leads:
                accepted = self._accept_password(connection, definition)
                resolved = resolved if accepted is definition else resolve(accepted)
            definition = resolved.definition
            if definition.lacks_password:
                return Followed.invalid(definition, str(missing_password(resolved.user)))
            return Followed.valid(resolved, content=content_of(definition) if leads else 0)
        except DatabaseUnavailable:
            raise
        except ContactsyncError as error:
            return Followed.invalid(definition, str(error))
        except Exception as error:
            # A value that was not foreseen makes this definition invalid, and no other.
            log.exception("definition.crashed", folder=definition.label, definition=definition.definition_id)
            return Followed.invalid(definition, f"An unexpected {type(error).__name__}: the log has the details.")


def log_of(followed: Followed) -> Any:
    """The log, with what names a definition."""
    return log.bind(folder=followed.label, definition=followed.definition_id)

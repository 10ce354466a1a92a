"""What a person at the web console may do who is no administrator: by a role in each folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn

from contactsync.errors import NotFound, PasswordNotTyped, RoleMissing
from contactsync.ldap.dn import group_key
from contactsync.model import Auth
from contactsync.operations.access.rights import Access, Right
from contactsync.store.rights import groups_with_rights, password_by, roles_of_person
from contactsync.text import lower

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition, NamedDefinition
    from contactsync.settings.web import Web


class Role(IntEnum):
    """What a request at the web console needs; each role includes those before it.

    ANYONE: nothing. VIEWER, EDITOR and OWNER (of a personal folder) are roles in a folder. ADMINISTRATOR is one of all.
    """

    ANYONE = 0
    VIEWER = 1
    EDITOR = 2
    OWNER = 3
    ADMINISTRATOR = 4


_ROLES = tuple(Role)
_WORDS = {
    Role.EDITOR: "Only an editor of the folder may do this.",
    Role.OWNER: "Only the owner of a personal folder may do this.",
    Role.ADMINISTRATOR: "Only an administrator may do this.",
}
_HINTS = {
    Role.EDITOR: "An administrator can give you the right to edit the folder.",
    Role.OWNER: "Ask an administrator.",
    Role.ADMINISTRATOR: "Ask an administrator.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonAccess(Access):
    """A person with the roles in the folders that a request concerns; `rules` are the settings.

    `needed` is the least role that the request needs in a folder.
    """

    name: str
    rules: Web
    needed: Role
    roles: Mapping[int, Role]

    @property
    def sees_entries(self) -> bool:
        """See Access."""
        return all(role >= Role.EDITOR for role in self.roles.values())

    def sees_settings(self, folder_id: int) -> bool:
        """See Access."""
        return self.roles.get(folder_id, Role.ANYONE) >= Role.EDITOR

    def require(self, right: Right) -> NoReturn:
        """Raise RoleMissing: a person has roles, not rights."""
        del right
        raise role_missing(Role.ADMINISTRATOR)

    def require_everything(self) -> NoReturn:
        """Raise RoleMissing."""
        raise role_missing(Role.ADMINISTRATOR)

    def covers(self, definition: NamedDefinition) -> bool:
        """See Access."""
        return definition.folder_id in self.roles

    def folder_ids(self, connection: Connection[Any]) -> list[int] | None:
        """See Access."""
        del connection
        return list(self.roles)

    def require_role(self, definition: Definition) -> None:
        """Raise RoleMissing unless the person has the needed role in the definition's folder."""
        if self.roles.get(definition.folder_id, Role.ANYONE) < self.needed:
            raise role_missing(self.needed)

    def is_named(self, name: str | None) -> bool:
        """Whether this is the person's name, in any case."""
        return name is not None and lower(name) == lower(self.name)

    def require_own_password(
        self, connection: Connection[Any], stored: Definition, definition: Definition, *, typed: bool
    ) -> None:
        """Raise PasswordNotTyped if a search of the directory would use what another user has stored.

        What it finds may be outside of the folder. Raises RoleMissing where a password makes no difference,
        DatabaseError.
        """
        anonymous = definition.user is None
        if definition.auth is not Auth.SIMPLE or (anonymous and definition.tls_client_cert is not None):
            raise RoleMissing(
                "This folder authenticates by a ticket or a certificate of the daemon's machine, so only an"
                " administrator may search its directory.",
                hint="Ask an administrator.",
            )
        if typed or anonymous:
            return
        sealed = definition.password_ref is None
        if not (sealed and self.is_named(password_by(connection, stored.definition_id))):
            raise PasswordNotTyped(
                "You have not given the password of this folder's user, so you may not search the directory with it.",
                hint="Type the password.",
            )


def role_missing(needed: Role) -> RoleMissing:
    """The error for a person who may see a folder, but has a lesser role there."""
    return RoleMissing(_WORDS[needed], hint=_HINTS[needed])


def person_access(
    connection: Connection[Any],
    name: str,
    groups: Collection[str],
    rules: Web,
    *,
    needed: Role,
    folder_ids: Collection[int] | None = None,
    visible: Role | None = None,
) -> PersonAccess:
    """The access for a request that needs a role in these folders, or in each of all folders that it lists.

    With `visible` it lists folders with that role, too. Raises NotFound, RoleMissing, DatabaseError.
    """
    keys = set(map(group_key, groups))
    named = [group for group in groups_with_rights(connection, folder_ids) if group_key(group) in keys] if keys else []
    roles = {key: _ROLES[role] for key, role in roles_of_person(connection, name, named, folder_ids).items()}
    if folder_ids is None:
        roles = {key: role for key, role in roles.items() if role >= (needed if visible is None else visible)}
    elif not folder_ids or set(folder_ids) - roles.keys():
        raise NotFound("It does not exist.")
    elif min(roles.values()) < needed:
        raise role_missing(needed)
    return PersonAccess(rights=frozenset(), name=name, rules=rules, needed=needed, roles=roles)

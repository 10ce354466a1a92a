"""The rights and the scope of an actor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from contactsync.errors import OutOfScope, RightMissing
from contactsync.store.tokens import folders_in_scope

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import NamedDefinition


class Right(StrEnum):
    """What a token may do. Each is separate: `edit` includes no `read`."""

    READ = "read"
    SYNC = "sync"
    EDIT = "edit"
    DECIDE = "decide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What an actor may do. `local`: a user of the control socket, who may do everything.

    `administrator`: one at the web console, who may do what its pages have. The scope is `everything`, or folders as
    pairs of owner and name, and all folders of some owners.
    """

    rights: frozenset[Right]
    everything: bool = False
    folders: frozenset[tuple[str | None, str]] = frozenset()
    owners: frozenset[str] = frozenset()
    local: bool = False
    administrator: bool = False

    @property
    def sees_entries(self) -> bool:
        """Whether the actor may see names of directory entries (DNs), besides contacts."""
        return True

    def sees_settings(self, folder_id: int) -> bool:
        """Whether the actor may see what the definitions of a folder search for, and why they fail."""
        del folder_id
        return True

    def require(self, right: Right) -> None:
        """Raise RightMissing unless the actor has this right."""
        if right not in self.rights:
            raise RightMissing(
                f'This needs the right "{right}", which the token does not have.',
                hint="Rights are fixed: make another token, with `contactsync tokens add NAME --may`.",
            )

    def require_everything(self) -> None:
        """Raise OutOfScope unless the scope is everything."""
        if not self.everything:
            raise OutOfScope(
                "This concerns all folders, and the token is limited to some.",
                hint="Use the paths of a folder or definition.",
            )

    def require_folder(self, name: str, owner: str | None) -> None:
        """Raise OutOfScope unless a folder with this name and owner, new or not, is in the scope."""
        if not self._has(owner, name):
            raise OutOfScope(
                f"The token may not have a folder {folder_label(owner, name)}.",
                hint="Use a folder or an owner that the token is for.",
            )

    def covers(self, definition: NamedDefinition) -> bool:
        """Whether a definition's folder is in the scope."""
        return self._has(definition.owner, definition.folder)

    def folder_ids(self, connection: Connection[Any]) -> list[int] | None:
        """The ids of the existing folders in the scope; None for all. Raises DatabaseError."""
        return None if self.everything else folders_in_scope(connection, self.folders, self.owners)

    def _has(self, owner: str | None, name: str) -> bool:
        return self.everything or owner in self.owners or (owner, name) in self.folders


LOCAL = Access(rights=frozenset(Right), everything=True, local=True)
"""The access of a user of the control socket."""


def parse_folder(label: str) -> tuple[str | None, str]:
    """Owner and name of a folder label: `Staff`, `anna/Private`."""
    owner, _, name = label.rpartition("/")
    return owner or None, name


def folder_label(owner: str | None, name: str) -> str:
    """The label of a folder: `Staff`, `anna/Private`."""
    return name if owner is None else f"{owner}/{name}"

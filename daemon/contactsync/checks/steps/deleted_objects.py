"""The step "deleted_objects": Active Directory keeps what was deleted for a while, and not everybody may see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.checks.result import Status, StepResult
from contactsync.checks.searches import Search, ask
from contactsync.errors import DirectoryError
from contactsync.ldap.protocol.requests import SHOW_DELETED, paging_control
from contactsync.ldap.query.query import Scope

if TYPE_CHECKING:
    from contactsync.checks.context import CheckContext

_MOST = 5


def check_deleted_objects(checkup: CheckContext) -> StepResult:
    """Ask for a few deleted objects. Runs do not need them: they compare everything that is there."""
    root_dse = checkup.root_dse
    if not root_dse.is_active_directory:
        return StepResult(status=Status.SKIPPED, text="Only Active Directory keeps deleted objects where one can ask.")
    context = root_dse.default_naming_context
    if context is None or SHOW_DELETED not in root_dse.supported_controls:
        return StepResult(status=Status.SKIPPED, text="The server does not offer to show deleted objects.")
    container = f"CN=Deleted Objects,{context}"
    search = Search(container, Scope.ONE, "(isDeleted=TRUE)")
    try:
        some = ask(
            checkup.bound,
            search,
            checkup.read_limits(),
            controls=paging_control(_MOST, b"", deleted=True),
            decode=False,
        )
    except DirectoryError as error:
        return _hidden(container, error.message)
    if not some.number:
        # Samba, for one, shows the container to everybody, and what is in it only to those who have the right.
        return _hidden(container, f"{container} shows this user no deleted objects, if there are any.")
    return StepResult(
        status=Status.OK,
        text=f"{container} can be read.",
        data={"readable": True, "container": container},
    )


def _hidden(container: str, why: str) -> StepResult:
    return StepResult(
        status=Status.WARNING,
        text=why,
        hint="Runs work without: they find out what is gone by comparing."
        " To grant it, an administrator runs dsacls on that container (list and read for this user).",
        data={"readable": False, "container": container},
    )

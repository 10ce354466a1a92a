"""What each route needs of a token and of a person at the web console, by the name of its function.

A route that is not here is closed to both.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from contactsync.operations.access.person import Role
from contactsync.operations.access.rights import Right


class Target(Enum):
    """What a route concerns, and so how its scope is checked."""

    DAEMON = auto()
    """The daemon alone: no folder."""
    DEFINITION = auto()
    """The definition, folder, run or request in the path. To a token of another scope, it does not exist."""
    FOLDER = auto()
    RUN = auto()
    REQUEST = auto()
    FILTERED = auto()
    """Several folders: the route leaves out those of another scope, or checks what is in the body."""
    BODY = auto()
    """The definition that the body names, or a new one: the route checks that."""
    ALL = auto()
    """All folders at once: only for a token for everything."""
    SOCKET = auto()
    """Only over the control socket, for no token."""
    CONSOLE = auto()
    """Only for the process of the web console, without the name of a person."""


class Need(NamedTuple):
    """A right, or None if any token will do, and what the route concerns.

    `role`: what a person at the web console needs to be; None if the console may not use the route.
    """

    right: Right | None
    target: Target
    role: Role | None = None


_ANYONE, _VIEWER, _EDITOR, _OWNER, _ADMIN = Role
_READ, _SYNC, _EDIT, _DECIDE = Right.READ, Right.SYNC, Right.EDIT, Right.DECIDE

NEEDS = {
    "alive": Need(None, Target.DAEMON, _ANYONE),
    "ready": Need(None, Target.DAEMON, _ANYONE),
    "status": Need(_READ, Target.ALL, _ADMIN),
    "export": Need(_READ, Target.ALL, _ADMIN),
    "installation_status": Need(_READ, Target.ALL, _ADMIN),
    "metrics": Need(_READ, Target.ALL, _ADMIN),
    "certificates_in_use": Need(_READ, Target.ALL, _ADMIN),
    "settings": Need(_READ, Target.ALL, _ADMIN),
    "fleet": Need(_READ, Target.ALL, _ADMIN),
    # Lists and events
    "folders": Need(_READ, Target.FILTERED, _VIEWER),
    "list_definitions": Need(_READ, Target.FILTERED, _VIEWER),
    "resolve_name": Need(_READ, Target.FILTERED, _VIEWER),
    "run_statistics": Need(_READ, Target.DEFINITION, _VIEWER),
    "definition_states": Need(_READ, Target.FILTERED, _VIEWER),
    "runs": Need(_READ, Target.FILTERED, _VIEWER),
    "log_records": Need(_READ, Target.FILTERED, _ADMIN),
    "audit": Need(_READ, Target.FILTERED, _ADMIN),
    "events": Need(_READ, Target.FILTERED, _ADMIN),
    "own_access": Need(None, Target.FILTERED, _VIEWER),
    # One folder, definition or run
    "contacts_anywhere": Need(_READ, Target.FILTERED, _VIEWER),
    "contacts": Need(_READ, Target.FOLDER, _VIEWER),
    "definition_contacts": Need(_READ, Target.DEFINITION, _VIEWER),
    "definition_changes": Need(_READ, Target.DEFINITION, _VIEWER),
    "contact": Need(_READ, Target.FOLDER, _VIEWER),
    "photo": Need(_READ, Target.FOLDER, _VIEWER),
    "history": Need(_READ, Target.FOLDER, _VIEWER),
    "definition": Need(_READ, Target.DEFINITION, _VIEWER),
    "definition_edits": Need(_READ, Target.DEFINITION, _EDITOR),
    "history_of_person": Need(_READ, Target.DEFINITION, _EDITOR),
    "explain_person": Need(_READ, Target.DEFINITION, _EDITOR),
    "explain_with_password": Need(_READ, Target.DEFINITION, _EDITOR),
    "preview_definition": Need(_READ, Target.DEFINITION, _EDITOR),
    "one_run": Need(_READ, Target.RUN, _VIEWER),
    "run_details": Need(_READ, Target.RUN, _VIEWER),
    "rejected_entries": Need(_READ, Target.RUN, _EDITOR),
    "trimmed_values": Need(_READ, Target.RUN, _EDITOR),
    "plan_of_run": Need(_READ, Target.RUN, _EDITOR),
    "undo_plan": Need(_READ, Target.RUN, _OWNER),
    # Runs
    "sync_all": Need(_SYNC, Target.FILTERED, _ADMIN),
    "sync_definition": Need(_SYNC, Target.DEFINITION, _EDITOR),
    "ticket": Need(_READ, Target.REQUEST, _EDITOR),
    "cancel_ticket": Need(_SYNC, Target.REQUEST, _EDITOR),
    # Edits, and settings that are not stored
    "add_definition": Need(_EDIT, Target.FILTERED, _ANYONE),
    "edit_definition": Need(_EDIT, Target.DEFINITION, _EDITOR),
    "remove_definition": Need(_EDIT, Target.DEFINITION, _OWNER),
    "set_password": Need(_EDIT, Target.DEFINITION, _EDITOR),
    "clear_password": Need(_EDIT, Target.DEFINITION, _EDITOR),
    "pause_definition": Need(_EDIT, Target.DEFINITION, _EDITOR),
    "resume_definition": Need(_EDIT, Target.DEFINITION, _EDITOR),
    "check_draft": Need(_EDIT, Target.BODY, _EDITOR),
    "preview_draft": Need(_EDIT, Target.BODY, _EDITOR),
    "browse_directory": Need(_EDIT, Target.BODY, _EDITOR),
    "sample_draft": Need(_EDIT, Target.BODY, _EDITOR),
    "parts_of_mappings": Need(None, Target.DAEMON, _ANYONE),
    # Decisions
    "approve_run": Need(_DECIDE, Target.RUN, _OWNER),
    "reject_run": Need(_DECIDE, Target.RUN, _OWNER),
    "undo_run": Need(_DECIDE, Target.RUN, _OWNER),
    "cancel_run": Need(_DECIDE, Target.RUN, _EDITOR),
    "cancel_named": Need(_DECIDE, Target.FILTERED, _ADMIN),
    "cancel_definition": Need(_DECIDE, Target.DEFINITION, _EDITOR),
    # Administration
    "folder_rights": Need(None, Target.SOCKET, _ADMIN),
    "set_folder_rights": Need(None, Target.SOCKET, _ADMIN),
    "give_folder_right": Need(None, Target.SOCKET, _ADMIN),
    "take_folder_right": Need(None, Target.SOCKET, _ADMIN),
    "rename_by_name": Need(None, Target.SOCKET, _ADMIN),
    "drain_fleet_node": Need(None, Target.SOCKET),
    "resume_fleet_node": Need(None, Target.SOCKET),
    "forget_fleet_node": Need(None, Target.SOCKET),
    "plan": Need(None, Target.SOCKET),
    "apply": Need(None, Target.SOCKET),
    "reload_settings": Need(None, Target.SOCKET, _ADMIN),
    "tokens": Need(None, Target.SOCKET),
    "add_token": Need(None, Target.SOCKET),
    "revoke_token": Need(None, Target.SOCKET),
    "add_sign_in_code": Need(None, Target.SOCKET),
    "redeem_sign_in_code": Need(None, Target.CONSOLE),
}

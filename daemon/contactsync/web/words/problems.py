"""The daemon's sentences about errors in the language of the request, by their codes (docs/reference/errors.md).

The daemon writes English. In another language a page has the translated sentence about the code first. The daemon's own
follows, because only that has the names and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from contactsync.errors import ContactsyncError
from contactsync.web.language import current_language, gettext

_MOST = 600
"""Characters of the daemon's own sentence."""


def in_words(code: str | None, message: str, hint: str = "") -> str:
    """The message and the hint of an error, or in another language than English the sentences about its code."""
    said = f"{message} {hint}".strip()
    words = None if current_language() == "en" else _sentences(code or "")
    return said if words is None else with_original(words, said)


def with_original(words: str, said: str) -> str:
    """The words, and the daemon's own English sentence after them."""
    original = said if len(said) <= _MOST else f"{said[:_MOST]}…"
    return Markup('{} <span class="original small soft" lang="en" dir="auto">{}</span>').format(words, original)


def in_english(said: str) -> str:
    """A sentence of the daemon's that has no translation, marked as English on a page in another language."""
    return said if current_language() == "en" else Markup('<span lang="en" dir="auto">{}</span>').format(said)


def problem_of(error: ContactsyncError) -> dict[str, str]:
    """The parts of a problem on a page: what happened, and what to do."""
    said = in_words(error.code, error.message, error.hint)
    return {"detail": said, "hint": ""} if isinstance(said, Markup) else {"detail": error.message, "hint": error.hint}


def reason_words(definition: Mapping[str, Any]) -> str:
    """Why a definition is in its state, which needs attention."""
    code = definition["error_code"] or _of_state(definition["state"])
    return in_words(code, definition["reason"]) if definition["reason"] else ""


def verdict_words(reason: Mapping[str, Any]) -> str:
    """A reason why a person is in a folder, or not."""
    said = str(reason["text"])
    words = None if current_language() == "en" else _verdicts().get(reason["verdict"])
    return said if words is None else with_original(words, said)


def _of_state(state: str) -> str:
    """The code for the reason of a state whose reason has none."""
    return {"invalid": "definition", "held": "run.held", "interrupted": "run.interrupted"}.get(state, "")


def _sentences(code: str) -> str | None:
    """What is known about the code, or about the more general one that it begins with."""
    known = _by_code()
    while code and code not in known:
        code = code.rpartition(".")[0]
    return known.get(code)


def _verdicts() -> dict[str, str]:
    _ = gettext
    return {
        "in the folder": _("This person is in the folder."),
        "a person's own": _("This is a person's own contact, which no run changes."),
        "held": _("A run that would change this contact is held."),
        "rejected": _("The directory has this person, but no contact can be made of the entry."),
        "due": _("The directory has this person, but no run has added a contact yet."),
        "excluded": _("The directory has this person, but the settings of the folder exclude the entry."),
        "deleted": _("This person was in the folder, and was deleted."),
        "unknown": _("The directory could not be searched."),
        "never seen": _("The directory has no such person whom the user of the folder may read."),
    }


def _by_code() -> dict[str, str]:
    _ = gettext
    return {
        "control": _("The daemon does not answer. Try again in a moment, or ask an administrator."),
        "control.version": _("The daemon is of another version than the console. Both have to be restarted."),
        "database": _("The database refused this. Ask an administrator."),
        "database.conflict": _("Another change was made at the same time. Try again."),
        "database.slow": _("The database took too long for this. Try again in a moment, or search for more letters."),
        "database.unavailable": _("The database cannot be reached. The daemon goes on when it is back."),
        "definition": _("The settings of the folder are not valid."),
        "definition.mapping": _("The mapping from attributes to fields is not valid."),
        "definition.query": _("The LDAP query has none of the forms that are possible."),
        "definition.schedule": _("The schedule or its time zone is not valid."),
        "directory": _("The directory refused a request. The test finds the step that fails."),
        "directory.access": _("The server demands a stronger sign-in, encryption, or more rights for the user."),
        "directory.base": _("The base of the search does not exist in the directory."),
        "directory.busy": _("The directory has too much to do. The run is repeated."),
        "directory.certificate": _("The certificate of the server is not valid."),
        "directory.credentials": _("The directory refused the user or the password. The schedule does not try again."),
        "directory.cursor": _("What has changed in the directory is not known. The next run reads everything."),
        "directory.dns": _("The server is not found: check its name."),
        "directory.filter": _("The filter of the search is not valid."),
        "directory.incomplete": _("The directory did not give everything. The folder was not changed."),
        "directory.protocol": _("What the server sends is not LDAP: check its name and port."),
        "directory.silent": _("The server does not report changes well enough for the mode of the folder."),
        "directory.timeout": _("The server did not answer in time."),
        "directory.unavailable": _("There is no connection to the server, or it broke. The run is repeated."),
        "directory.unusable": _("The search found entries, but no contact can be made of any."),
        "internal": _("An unexpected error ended the run. The daemon's log has the details."),
        "internal_server_error": _("An unexpected error happened. The daemon's log has the details."),
        "malformed_request": _("This is not a value that is possible here."),
        "not_found": _("There is no such folder, run or contact, or you may not see it."),
        "not_ready": _("The daemon cannot do its work now."),
        "run.busy": _("Another run of this folder goes on. Wait for its end."),
        "run.cancelled": _("The run was cancelled before it changed anything."),
        "run.deadline": _("The run took longer than it may."),
        "run.held": _("The run would delete more contacts than it may without a decision."),
        "run.interrupted": _("The daemon ended in the middle of the run. The run is repeated."),
        "run.locked": _("The directory refused the user or the password. Type the right password."),
        "run.withdrawn": _("The run was withdrawn before it began."),
        "secret": _("The stored password cannot be read. Type it again, or ask an administrator."),
        "stopping": _("The daemon is stopping. Try again in a moment."),
        "token.scope": _("You may only have personal folders of your own."),
        "token.socket_only": _("The console may not do this: the command line on the daemon's machine can."),
        "too_many": _("Too many people ask for this at once. Try again in a moment."),
        "undo.refused": _("The run cannot be undone: later changes stand in the way."),
        "usage": _("This is not possible as it was typed."),
        "web.administrators": _("This is for administrators."),
        "web.code": _("The link is not valid: it was used already, or it has expired."),
        "web.field": _("Only an administrator may set these fields, or to these values."),
        "web.password": _("Type the password: the directory is searched with one that you have given."),
        "web.rate": _("You have requested a run of this folder less than a minute ago. Wait a moment."),
        "web.role": _("You may see this, but not do it. An administrator gives rights in a folder."),
    }


CODES = frozenset(_by_code())
"""The codes with sentences."""

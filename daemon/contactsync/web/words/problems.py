"""The daemon's sentences about errors in the language of the request, by their codes (docs/reference/errors.md).

The daemon writes English. In another language a page has the translated sentence about the code first. The daemon's own
follows, because only that has the names and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from contactsync.errors import ContactsyncError
from contactsync.web.language import current_language, gettext, mark

_MOST = 600
"""Characters of the daemon's own sentence."""


def in_words(code: str | None, message: str, hint: str = "") -> str:
    """The message and the hint of an error, or in another language than English the sentences about its code."""
    said = f"{message} {hint}".strip()
    words = None if current_language() == "en" else sentence_of(code or "")
    return said if words is None else with_original(words, said)


def sentence_of(code: str) -> str | None:
    """What a page says about the code, or about the more general one that it begins with."""
    while code and code not in _BY_CODE:
        code = code.rpartition(".")[0]
    return gettext(_BY_CODE[code]) if code else None


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
    words = _VERDICTS.get(reason["verdict"])
    return said if words is None or current_language() == "en" else with_original(gettext(words), said)


def _of_state(state: str) -> str:
    """The code for the reason of a state whose reason has none."""
    return {"invalid": "definition", "held": "run.held", "interrupted": "run.interrupted"}.get(state, "")


_VERDICTS = {
    "in the folder": mark("This person is in the folder."),
    "a person's own": mark("This is a person's own contact, which no run changes."),
    "held": mark("A run that would change this contact is held."),
    "rejected": mark("The directory has this person, but no contact can be made of the entry."),
    "due": mark("The directory has this person, but no run has added a contact yet."),
    "excluded": mark("The directory has this person, but the settings of the folder exclude the entry."),
    "deleted": mark("This person was in the folder, and was deleted."),
    "unknown": mark("The directory could not be searched."),
    "never seen": mark("The directory has no such person whom the user of the folder may read."),
}


_BY_CODE = {
    "control": mark("The daemon does not answer. Try again in a moment, or ask an administrator."),
    "control.version": mark("The daemon is of another version than the console. Both have to be restarted."),
    "database": mark("The database refused this. Ask an administrator."),
    "database.conflict": mark("Another change was made at the same time. Try again."),
    "database.slow": mark("The database took too long for this. Try again in a moment, or search for more letters."),
    "database.unavailable": mark("The database cannot be reached. The daemon goes on when it is back."),
    "definition": mark("The settings of the folder are not valid."),
    "definition.mapping": mark("The mapping from attributes to fields is not valid."),
    "definition.query": mark("The LDAP query has none of the forms that are possible."),
    "definition.schedule": mark("The schedule or its time zone is not valid."),
    "directory": mark("The directory refused a request. The test finds the step that fails."),
    "directory.access": mark("The server demands a stronger sign-in, encryption, or more rights for the user."),
    "directory.base": mark("The base of the search does not exist in the directory."),
    "directory.busy": mark("The directory has too much to do. The run is repeated."),
    "directory.certificate": mark("The certificate of the server is not valid."),
    "directory.credentials": mark("The directory refused the user or the password. The schedule does not try again."),
    "directory.cursor": mark("What has changed in the directory is not known. The next run reads everything."),
    "directory.dns": mark("The server is not found: check its name."),
    "directory.filter": mark("The filter of the search is not valid."),
    "directory.incomplete": mark("The directory did not give everything. The folder was not changed."),
    "directory.not_synchronized": mark(
        "The domain controller has not finished its replication. The folder was not changed."
    ),
    "directory.protocol": mark("What the server sends is not LDAP: check its name and port."),
    "directory.silent": mark("The server does not report changes well enough for the mode of the folder."),
    "directory.timeout": mark("The server did not answer in time."),
    "directory.unavailable": mark("There is no connection to the server, or it broke. The run is repeated."),
    "directory.unusable": mark("The search found entries, but no contact can be made of any."),
    "internal": mark("An unexpected error ended the run. The daemon's log has the details."),
    "internal_server_error": mark("An unexpected error happened. The daemon's log has the details."),
    "malformed_request": mark("This is not a value that is possible here."),
    "not_found": mark("There is no such folder, run or contact, or you may not see it."),
    "not_ready": mark("The daemon cannot do its work now."),
    "run.busy": mark("Another run of this folder goes on. Wait for its end."),
    "run.cancelled": mark("The run was cancelled before it changed anything."),
    "run.deadline": mark("The run took longer than it may."),
    "run.held": mark("The run would delete more contacts, or clear more fields, than it may without a decision."),
    "run.interrupted": mark("The daemon ended in the middle of the run. The run is repeated."),
    "run.locked": mark("The directory refused the user or the password. Type the right password."),
    "run.withdrawn": mark("The run was withdrawn before it began."),
    "secret": mark("The stored password cannot be read. Type it again, or ask an administrator."),
    "stopping": mark("The daemon is stopping. Try again in a moment."),
    "token.scope": mark("You may only have personal folders of your own."),
    "token.socket_only": mark("The console may not do this: the command line on the daemon's machine can."),
    "too_many": mark("Too many people ask for this at once. Try again in a moment."),
    "undo.refused": mark("The run cannot be undone: later changes stand in the way."),
    "usage": mark("This is not possible as it was typed."),
    "web.administrators": mark("This is for administrators."),
    "web.code": mark("The link is not valid: it was used already, or it has expired."),
    "web.field": mark("Only an administrator may set these fields, or to these values."),
    "web.password": mark("Type the password: the directory is searched with one that you have given."),
    "web.rate": mark("You have requested a run of this folder less than a minute ago. Wait a moment."),
    "web.role": mark("You may see this, but not do it. An administrator gives rights in a folder."),
}


CODES = frozenset(_BY_CODE)
"""The codes with sentences."""

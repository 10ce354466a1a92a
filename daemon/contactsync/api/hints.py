"""Hints in other words than the command line's: with routes for programs, with pages for people at the console."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import Depends, Request

from contactsync import COMMAND_LINE

ROUTES = {
    "folders list": "GET /v1/definitions",
    "folders show": "GET /v1/definitions/ID",
    "folders add": "POST /v1/definitions",
    "folders edit": "PATCH /v1/definitions/ID",
    "folders remove": "DELETE /v1/definitions/ID",
    "folders export": "GET /v1/definitions/export",
    "folders apply": "POST /v1/definitions/apply",
    "runs show": "GET /v1/runs/ID",
    "runs": "GET /v1/runs",
    "status": "GET /v1/status",
    "sync": "POST /v1/sync",
    "cancel": "POST /v1/runs/ID/cancel",
    "preview": "POST /v1/definitions/ID/preview",
    "explain": "GET /v1/definitions/ID/explain",
    "approve": "POST /v1/runs/ID/approve",
    "reject": "POST /v1/runs/ID/reject",
    "undo": "POST /v1/runs/ID/undo",
    "tokens list": "GET /v1/tokens",
    "tokens add": "POST /v1/tokens",
    "tokens revoke": "DELETE /v1/tokens",
}
"""Commands with the route that does the same. Commands on the daemon's machine only, such as `migrate`, have none."""
PAGES = {
    "folders list": 'the page "Folders"',
    "folders show": 'the page "LDAP synchronization"',
    "folders add": 'the page "New folder"',
    "folders edit": 'the page "LDAP synchronization"',
    "folders remove": 'the page "LDAP synchronization"',
    "runs show": 'the page "Run ID"',
    "runs": 'the page "Runs"',
    "status": 'the page "Overview"',
    "sync": 'the button "Synchronize now"',
    "cancel": 'the page "Progress"',
    "preview": 'the button "Show what would change"',
    "explain": 'the page "Why is a person here?"',
    "approve": 'the page "Run ID"',
    "reject": 'the page "Run ID"',
    "undo": 'the page "Undo run ID"',
    "check": 'the button "Test"',
    "browse": 'the button "Browse the directory"',
    "audit": 'the page "Who did what"',
    "settings show": 'the page "Settings in force"',
}
"""Commands with the page of the console that does the same, or its button."""
FORM_FIELDS = {
    "base": "Base",
    "scope": "Scope",
    "filter": "Filter",
    "schedule": "Schedule",
    "mode": "Mode",
    "time-zone": "Time zone",
    "tls": "Encryption",
    "tls-verify": "Verify the server's certificate",
    "page-size": "Entries per page of a search",
    "owner": "Owner",
}
"""Options with the field of the console's forms that is the same."""

_COMMAND = re.compile(r"`contactsync ([^`]+)`|(?<=: )contactsync ([a-z][^`.;,]*?)(?: \.\.\.)?(?=[.;,]|$)")
_PROMPT = re.compile(r": on the command line with --[a-z-]+")
_IN_BRACKETS = re.compile(r" \(--[a-z][^)]*\)")
_OPTION = re.compile(r"--(no-)?([a-z][a-z-]*)")
_FIELD = re.compile(r"`(tls_verify|page_size|time_zone)`( false)?")
_SET = re.compile(rf'(?<=[Ss]et )("(?:{"|".join(FORM_FIELDS.values())})") (?=[0-9a-z])')


def for_programs(sentence: str) -> str:
    """The sentence with routes and fields in place of commands and options."""
    return _OPTION.sub(lambda option: _name(option[2], option[1]), _places(sentence, ROUTES))


def for_people(sentence: str) -> str:
    """The sentence with pages of the web console and fields in place of commands and options."""
    here = "daemon's machine" in sentence
    reworded = _OPTION.sub(_form_field, _places(sentence, PAGES))
    reworded = _SET.sub(r"\1 to ", _FIELD.sub(lambda field: _words(field[1].replace("_", "-"), field[2]), reworded))
    return reworded if here else _COMMAND.sub(lambda command: f"{command[0]} on the daemon's machine", reworded)


def wording_for(request: Request) -> Wording:
    """What the sentences for the client of a request go through: the command line shows them as they are."""
    if "console" in request.scope["state"]:
        return for_people
    is_command = request.headers.get("user-agent", "").startswith(f"{COMMAND_LINE}/")
    return str if is_command else for_programs


Wording = Callable[[str], str]
CurrentWording = Annotated[Wording, Depends(wording_for)]


def _form_field(option: re.Match[str]) -> str:
    return _words(option[2], option[1])


def _words(option: str, off: str | None) -> str:
    """The field of a form in quotes; the name of a field that is in none."""
    if option not in FORM_FIELDS:
        return _name(option, off)
    return f'"{FORM_FIELDS[option]}" without a mark' if off else f'"{FORM_FIELDS[option]}"'


def _name(option: str, off: str | None) -> str:
    return f"`{option.replace('-', '_')}`{' false' if off else ''}"


def _places(sentence: str, places: Mapping[str, str]) -> str:
    def place(command: re.Match[str]) -> str:
        words = (command[1] or command[2]).split()
        for length in (2, 1):
            found = places.get(" ".join(words[:length]))
            if found is not None:
                number = next((word for word in words[length:] if word.isdecimal()), "ID")
                found = found.replace("ID", number)
                return found if command.start() else found[0].upper() + found[1:]
        return re.sub(" --[a-z-]+", "", command[0])

    return _IN_BRACKETS.sub("", _PROMPT.sub("", _COMMAND.sub(place, sentence)))

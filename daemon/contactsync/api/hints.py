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
    "undo": 'the page "Undo run ID"',
}
"""Commands with the page of the console that does the same, or its button."""

_COMMAND = re.compile(r"`contactsync ([^`]+)`|(?<=: )contactsync ([a-z][^`.;,]*?)(?: \.\.\.)?(?=[.;,]|$)")
_PROMPT = re.compile(r": on the command line with --[a-z-]+")
_IN_BRACKETS = re.compile(r" \(--[a-z][^)]*\)")
_OPTION = re.compile(r"--(no-)?([a-z][a-z-]*)")


def for_programs(sentence: str) -> str:
    """The sentence with routes and fields in place of commands and options."""
    return _reworded(sentence, ROUTES)


def for_people(sentence: str) -> str:
    """The sentence with pages of the web console and fields in place of commands and options."""
    return _reworded(sentence, PAGES)


def wording_for(request: Request) -> Wording:
    """What the sentences for the client of a request go through: the command line shows them as they are."""
    if "console" in request.scope["state"]:
        return for_people
    is_command = request.headers.get("user-agent", "").startswith(f"{COMMAND_LINE}/")
    return str if is_command else for_programs


Wording = Callable[[str], str]
CurrentWording = Annotated[Wording, Depends(wording_for)]


def _reworded(sentence: str, places: Mapping[str, str]) -> str:
    def place(command: re.Match[str]) -> str:
        words = (command[1] or command[2]).split()
        for length in (2, 1):
            found = places.get(" ".join(words[:length]))
            if found is not None:
                number = next((word for word in words[length:] if word.isdecimal()), "ID")
                found = found.replace("ID", number)
                return found if command.start() else found[0].upper() + found[1:]
        return command[0]

    sentence = _IN_BRACKETS.sub("", _PROMPT.sub("", _COMMAND.sub(place, sentence)))
    return _OPTION.sub(lambda option: f"`{option[2].replace('-', '_')}`{' false' if option[1] else ''}", sentence)

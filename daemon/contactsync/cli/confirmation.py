"""Asks before something is done that people may regret."""

from __future__ import annotations

import sys

import typer

from contactsync.errors import ContactsyncError, UsageError


def confirm(question: str, *, yes: bool) -> None:
    """Go on only when the answer is yes (or --yes was given). Raises UsageError when there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} There is no terminal to ask in.", hint="Add --yes if that is what you want.")
    if not typer.confirm(question, err=True):
        raise ContactsyncError("Nothing was changed.")

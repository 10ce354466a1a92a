"""Where the password of a directory's user comes from; never from the command line, which everybody can list."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from contactsync.errors import UsageError

if TYPE_CHECKING:
    from contactsync.cli.options import DefinitionOptions

_WAYS = "Use --password-stdin, --password-ref env:NAME, file:PATH or credential:NAME, or a terminal that can be asked."


def check_one_way(options: DefinitionOptions) -> None:
    """Raise UsageError when several options say where the password is, or when two things are to come from stdin."""
    ways = [options.password_stdin, options.password_prompt, options.password_ref is not None]
    if sum(ways) > 1:
        raise UsageError("The password can come from one place only.", hint=_WAYS)
    if options.password_stdin and options.mapping == "-":
        raise UsageError(
            "Standard input cannot hold both the password and the mapping.", hint="Put the mapping into a file."
        )


def read_password(options: DefinitionOptions, *, needed: bool) -> str | None:
    """The password that the options ask for; None when they name a reference, or when none is `needed`.

    Raises UsageError when one is needed and there is no terminal to ask in.
    """
    if options.password_stdin:
        return _not_empty(_line_of_stdin())
    if options.password_ref is not None or not (needed or options.password_prompt):
        return None
    if not sys.stdin.isatty():
        raise UsageError("The user needs a password, and there is no terminal to ask for it.", hint=_WAYS)
    return _not_empty(getpass.getpass("Password of the directory's user (not shown): ", stream=sys.stderr))


def _line_of_stdin() -> str:
    try:
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:  # it holds the password
        raise UsageError("The password is not text in UTF-8.", hint="LDAP takes passwords in UTF-8.") from None


def _not_empty(password: str) -> str:
    if not password:
        raise UsageError("The password is empty.", hint="To ask the directory anonymously, leave out --user.")
    return password

"""Options as the body of a request, which `folders add` and `edit` store, and `check` and `browse` only try."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from contactsync.cli.api import definition_of
from contactsync.cli.prompts import check_input, read_mapping, read_password
from contactsync.errors import ContactsyncError, UsageError
from contactsync.model import Auth
from contactsync.serving.client import DaemonError
from contactsync.text import printable

if TYPE_CHECKING:
    from contactsync.cli.api import Api
    from contactsync.cli.options import Clearable, DefinitionOptions

FILES = frozenset({"tls_ca_file", "tls_client_cert", "tls_client_key"})
"""Fields that name a file where the daemon runs."""


def body_of(
    options: DefinitionOptions, *, query: str | None = None, cleared: Iterable[Clearable] = ()
) -> dict[str, Any]:
    """The fields that the options set, without a password; null sets the default. Raises UsageError, MappingError."""
    check_input(options)
    body: dict[str, Any] = {choice.field: None for choice in cleared} | options.given()
    if query is not None:
        body["query"] = query
    for name in (name for name, value in body.items() if value == "" and name != "base"):
        raise UsageError(f"The {name.replace('_', ' ')} is empty.", hint="Leave the option out, or use --clear.")
    if options.mapping is not None:
        body["mapping"] = read_mapping(options.mapping)
    if options.tls_ca_pem is not None:
        body["tls_ca_pem"] = _read_certificates(options.tls_ca_pem)
    # The daemon has another working directory.
    return body | {name: str(Path(body[name]).absolute()) for name in FILES & body.keys() if body[name]}


def with_password(
    send: Callable[[Mapping[str, Any]], Any],
    body: Mapping[str, Any],
    options: DefinitionOptions,
    *,
    explain: bool = False,
) -> Any:
    """The answer to a request, which is sent again with a password from the terminal if it lacks one.

    With `explain` the reason is shown before the question, and is the error if there is no terminal. Raises
    ContactsyncError.
    """
    password = read_password(options, needed=False)
    if password is not None:
        return send({**body, "password": password})
    try:
        return send(body)
    except ContactsyncError as error:
        if _wrong_fields(error) != {"password"} or (explain and not sys.stdin.isatty()):
            raise
        if explain:
            typer.echo(printable(error.message), err=True)
    return send({**body, "password": read_password(options, needed=True)})


def send_draft(
    api: Api, path: str, name: str | None, query: str | None, options: DefinitionOptions, **more: Any
) -> Any:
    """The answer to a request with a draft: of NAME, or of a definition that is not stored. Raises ContactsyncError."""
    body = body_of(options, query=query) | more

    def send(body: Mapping[str, Any]) -> Any:
        return api.post(path, body, timeout=None)

    if name is not None:
        body["definition_id"] = definition_of(api, name)["definition_id"]
        return with_password(send, body, options, explain=True)
    if query is None:
        raise UsageError(
            "Neither a NAME nor a --query is given.",
            hint="Give the NAME of a stored definition, or --query for a new one.",
        )
    # The request needs no password: without one the answer would be that it lacks one.
    password = read_password(options, needed=_lacks_password(options))
    return send(body if password is None else body | {"password": password})


def _lacks_password(options: DefinitionOptions) -> bool:
    return options.user is not None and options.password_ref is None and options.auth in {None, Auth.SIMPLE}


def _wrong_fields(error: ContactsyncError) -> set[str]:
    """The fields of the request that are not valid: of a problem document, or of InvalidFields, which is not loaded."""
    return error.fields if isinstance(error, DaemonError) else set(getattr(error, "errors", ()))


def _read_certificates(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not a file of certificates in PEM form.") from None

"""The options that `folders add` and `folders edit` share, declared once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import typer

from contactsync.model import Auth, Tls

Returned = TypeVar("Returned")


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionOptions:
    """What the options say; None for one that was not given. Names are those of contactsync.model.Definition."""

    user: Annotated[
        str | None,
        typer.Option(
            metavar="USER",
            help="Who asks: a DN, DOMAIN\\user or user@domain. Without it the directory is asked anonymously.",
        ),
    ] = None
    base: Annotated[
        str | None,
        typer.Option(metavar="DN", help="Search below this entry instead of the query's own base."),
    ] = None
    scope: Annotated[
        Literal["base", "one", "sub"] | None,
        typer.Option(help="The entry itself, one level below it, or everything below it (sub)."),
    ] = None
    filter: Annotated[
        str | None,
        typer.Option(metavar="FILTER", help="An LDAP filter (RFC 4515), such as (mail=*)."),
    ] = None
    mapping: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-|JSON",
            help="How attributes become fields of a contact: a JSON file, - for standard input, or the JSON itself.",
        ),
    ] = None
    auth: Annotated[
        Auth | None,
        typer.Option(
            help="How it is shown who asks: simple, by --user and a password; kerberos; or external, by --client-cert."
        ),
    ] = None
    tls: Annotated[
        Tls | None,
        typer.Option(
            help="How the connection is protected. auto: LDAPS for ldaps://, else StartTLS when a user is sent."
        ),
    ] = None
    tls_verify: Annotated[
        bool | None,
        typer.Option(help="Whether the server's certificate is checked; on unless switched off."),
    ] = None
    tls_minimum: Annotated[
        Literal["1.2", "1.3"] | None,
        typer.Option(help="The oldest version of TLS that will do; 1.2 if not given."),
    ] = None
    tls_ca_file: Annotated[
        str | None,
        typer.Option(
            "--ca-file", metavar="FILE", help="Trust the authorities in this PEM file instead of the system's."
        ),
    ] = None
    tls_ca_pem: Annotated[
        str | None,
        typer.Option(
            "--ca-pem",
            metavar="FILE",
            help="The same, but keep what is in the file now in the definition; the daemon needs no file then.",
        ),
    ] = None
    tls_client_cert: Annotated[
        str | None,
        typer.Option(
            "--client-cert",
            metavar="FILE",
            help="Show the directory the certificate in this PEM file; it says who asks with --auth external.",
        ),
    ] = None
    tls_client_key: Annotated[
        str | None,
        typer.Option("--client-key", metavar="FILE", help="Its private key, when the file of --client-cert has none."),
    ] = None
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin", help="Read the user's password from standard input; it is never stored unsealed."
        ),
    ] = False
    password_prompt: Annotated[
        bool,
        typer.Option("--password-prompt", help="Ask for the password in the terminal."),
    ] = False
    password_ref: Annotated[
        str | None,
        typer.Option(
            metavar="REFERENCE",
            help="Where the daemon finds the password: env:NAME, file:PATH or credential:NAME (systemd's).",
        ),
    ] = None
    mode: Annotated[
        Literal["auto", "full", "incremental", "live"] | None,
        typer.Option(
            help="Read everything in each run (full), or ask the directory what changed (incremental), also as soon"
            " as it does (live); auto, if not given, is the best of these that the directory offers."
        ),
    ] = None
    schedule: Annotated[
        str | None,
        typer.Option(metavar="SCHEDULE", help='"every 15m", five cron fields, @hourly and the like, or manual.'),
    ] = None
    time_zone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="What cron fields are read in, such as Europe/Berlin."),
    ] = None
    jitter_seconds: Annotated[
        int | None,
        typer.Option(
            "--jitter",
            metavar="SECONDS",
            min=0,
            max=86_400,
            help="Delay each run by up to so much, so that not all folders ask at once.",
        ),
    ] = None
    max_delete_count: Annotated[
        int | None,
        typer.Option(metavar="CONTACTS", min=0, help="Hold a run that would delete more than so many."),
    ] = None
    max_delete_share: Annotated[
        float | None,
        typer.Option(metavar="SHARE", min=0, max=1, help="Hold a run that would delete more than this part, 0 to 1."),
    ] = None
    allow_empty: Annotated[
        bool | None,
        typer.Option(help="Whether a directory without entries may empty the folder."),
    ] = None
    deadline_seconds: Annotated[
        int | None,
        typer.Option("--deadline", metavar="SECONDS", min=1, max=86_400, help="How long a run may take."),
    ] = None
    page_size: Annotated[
        int | None,
        typer.Option(metavar="ENTRIES", min=1, max=100_000, help="How many entries to ask for at once."),
    ] = None

    def given(self) -> dict[str, Any]:
        """The options that were given and are fields of a definition as they stand."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        special = {"mapping", "tls_ca_pem", "password_stdin", "password_prompt"}
        return {name: value for name, value in values.items() if value is not None and name not in special}

    def any_given(self) -> bool:
        """Whether there is anything to do."""
        return self != DefinitionOptions()


CONNECTION = frozenset(
    {
        "user", "filter", "mapping", "auth", "tls", "tls_verify", "tls_minimum", "tls_ca_file", "tls_ca_pem",
        "tls_client_cert", "tls_client_key",
        "password_stdin", "password_prompt", "password_ref",
    }
)  # fmt: skip
"""The fields of DefinitionOptions that matter to those who only look around in a directory."""


def with_definition_options(
    command: Callable[..., Returned], only: frozenset[str] | None = None
) -> Callable[..., Returned]:
    """Let typer offer the fields of DefinitionOptions; the command gets them as one argument named `options`."""
    hints = get_type_hints(DefinitionOptions, include_extras=True)
    offered = {
        field.name: inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(DefinitionOptions)
        if only is None or field.name in only
    }
    own = [
        parameter
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name != "options"
    ]

    @functools.wraps(command)
    def call(**given: Any) -> Returned:
        options = DefinitionOptions(**{name: given.pop(name) for name in offered})
        return command(**given, options=options)

    parameters = [*own, *offered.values()]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call

"""Options and arguments that several commands share, declared once."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import typer

from contactsync.model import DEFAULT_TLS_MINIMUM, Auth, Definition, Tls


def _complete_name(ctx: typer.Context, incomplete: str) -> Any:
    from contactsync.cli.completion import complete_name

    return complete_name(ctx, incomplete)


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Staff; anna/Private, a personal folder; Staff:branch, a second definition of a folder.",
        show_default=False,
        autocompletion=_complete_name,
    ),
]
OptionalName = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="A folder or a definition.", show_default=False, autocompletion=_complete_name),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

Returned = TypeVar("Returned")

_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Definition)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionOptions:
    """The options for the fields of a definition, by the names of contactsync.model.Definition; None if not given."""

    user: Annotated[
        str | None,
        typer.Option(
            metavar="USER", help="User of the directory: a DN, DOMAIN\\user or user@domain; anonymous by default."
        ),
    ] = None
    base: Annotated[
        str | None,
        typer.Option(
            metavar="DN",
            help="Search below this entry; overrides the query's base. '' is the empty base, above all contexts.",
        ),
    ] = None
    scope: Annotated[
        Literal["base", "one", "sub"] | None,
        typer.Option(help="Search the entry itself (base), its children (one), or the subtree (sub, the default)."),
    ] = None
    filter: Annotated[
        str | None,
        typer.Option(metavar="FILTER", help="LDAP filter (RFC 4515), such as (mail=*); narrows the mapping's filter."),
    ] = None
    filter_only: Annotated[
        bool | None, typer.Option(help="Whether to search with --filter alone, without the mapping's; not by default.")
    ] = None
    mapping: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-|JSON",
            help="Mapping of attributes to contact fields: a JSON file, - for standard input, or the JSON itself.",
        ),
    ] = None
    auth: Annotated[
        Auth | None,
        typer.Option(
            help="Authentication: simple (--user and a password), kerberos (a ticket), or external (--client-cert);"
            f" {_DEFAULTS['auth']} by default."
        ),
    ] = None
    tls: Annotated[
        Tls | None,
        typer.Option(
            help=f"Encryption; {_DEFAULTS['tls']} by default: LDAPS for ldaps://, else StartTLS if there is a user."
        ),
    ] = None
    tls_verify: Annotated[
        bool | None, typer.Option(help="Whether to verify the server's certificate; verified by default.")
    ] = None
    tls_minimum: Annotated[
        Literal["1.2", "1.3"] | None,
        typer.Option(help=f"Oldest TLS version to accept; {DEFAULT_TLS_MINIMUM} by default."),
    ] = None
    tls_ca_file: Annotated[
        str | None,
        typer.Option("--ca-file", metavar="FILE", help="PEM file of CA certificates; the system's by default."),
    ] = None
    tls_ca_pem: Annotated[
        str | None,
        typer.Option(
            "--ca-pem",
            metavar="FILE",
            help="As --ca-file, but the certificates are copied into the definition; the daemon needs no file.",
        ),
    ] = None
    tls_client_cert: Annotated[
        str | None,
        typer.Option(
            "--client-cert", metavar="FILE", help="PEM file of a client certificate, the user with --auth external."
        ),
    ] = None
    tls_client_key: Annotated[
        str | None,
        typer.Option("--client-key", metavar="FILE", help="PEM file of its private key, if --client-cert has none."),
    ] = None
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the user's password from standard input. It is stored encrypted."),
    ] = False
    password_prompt: Annotated[
        bool, typer.Option("--password-prompt", help="Ask for the user's password in the terminal.")
    ] = False
    password_ref: Annotated[
        str | None,
        typer.Option(
            metavar="REFERENCE",
            help="Where the daemon finds the password: env:NAME, file:PATH or credential:NAME (systemd).",
        ),
    ] = None
    mode: Annotated[
        Literal["auto", "full", "incremental", "live"] | None,
        typer.Option(
            help="Read all entries in each run (full), only changes (incremental), or changes as they happen (live);"
            f" {_DEFAULTS['mode']} by default: the best that the directory supports."
        ),
    ] = None
    schedule: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEDULE",
            help='"every 30m", five cron fields, @hourly and the like, or manual;'
            f' "{_DEFAULTS["schedule"]}" by default.',
        ),
    ] = None
    time_zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help=f"Time zone of cron fields, such as Europe/Berlin; {_DEFAULTS['time_zone']} by default.",
        ),
    ] = None
    jitter_seconds: Annotated[
        int | None,
        typer.Option(
            "--jitter",
            metavar="SECONDS",
            min=0,
            max=86_400,
            help="Delay each run by a random time up to this, so that folders do not all run at once.",
        ),
    ] = None
    max_delete_count: Annotated[
        int | None,
        typer.Option(
            metavar="CONTACTS",
            min=0,
            help="Hold a run that would delete more than this; the default is in settings.toml.",
        ),
    ] = None
    max_delete_share: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=1,
            help="Hold a run that would delete a larger share, or clear a field in a larger share of the contacts that "
            "have it; the default is in settings.toml.",
        ),
    ] = None
    allow_empty: Annotated[
        bool | None, typer.Option(help="Whether a directory without entries may empty the folder; not by default.")
    ] = None
    deadline_seconds: Annotated[
        int | None,
        typer.Option(
            "--deadline",
            metavar="SECONDS",
            min=1,
            max=86_400,
            help="Time limit of a run; the default is in settings.toml.",
        ),
    ] = None
    page_size: Annotated[
        int | None,
        typer.Option(
            metavar="ENTRIES",
            min=0,
            max=100_000,
            help="Entries in one page, 0 for no paging; the default is in settings.toml.",
        ),
    ] = None

    def given(self) -> dict[str, Any]:
        """The options that are given and whose values are those of the definition's fields."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        special = {"mapping", "tls_ca_pem", "password_stdin", "password_prompt"}
        return {name: value for name, value in values.items() if value is not None and name not in special}

    @property
    def brings_password(self) -> bool:
        """Whether the user gives the password itself, and not a reference to it."""
        return self.password_stdin or self.password_prompt


class Clearable(StrEnum):
    """The fields that `folders edit --clear` sets to their defaults, by the names of their options."""

    USER = "user"
    BASE = "base"
    SCOPE = "scope"
    FILTER = "filter"
    FILTER_ONLY = "filter-only"
    MAPPING = "mapping"
    AUTH = "auth"
    TLS = "tls"
    TLS_VERIFY = "tls-verify"
    TLS_MINIMUM = "tls-minimum"
    CA_FILE = "ca-file"
    CLIENT_CERT = "client-cert"
    CLIENT_KEY = "client-key"
    MODE = "mode"
    SCHEDULE = "schedule"
    TIME_ZONE = "time-zone"
    JITTER = "jitter"
    MAX_DELETE_COUNT = "max-delete-count"
    MAX_DELETE_SHARE = "max-delete-share"
    ALLOW_EMPTY = "allow-empty"
    DEADLINE = "deadline"
    PAGE_SIZE = "page-size"

    @property
    def field(self) -> str:
        """The field's name in contactsync.model.Definition."""
        name = self.value.replace("-", "_")
        prefix = "tls_" if name.startswith(("ca_", "client_")) else ""
        suffix = "_seconds" if name in {"jitter", "deadline"} else ""
        return f"{prefix}{name}{suffix}"


CONNECTION = frozenset(
    {
        "user", "filter", "filter_only", "mapping", "auth", "tls", "tls_verify", "tls_minimum", "tls_ca_file",
        "tls_ca_pem", "tls_client_cert", "tls_client_key", "password_stdin", "password_prompt", "password_ref",
    }
)  # fmt: skip
"""The fields of DefinitionOptions that `browse` has."""


def with_definition_options(
    command: Callable[..., Returned], only: frozenset[str] | None = None
) -> Callable[..., Returned]:
    """Add the fields of DefinitionOptions to a command's signature; the command gets them as `options`."""
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

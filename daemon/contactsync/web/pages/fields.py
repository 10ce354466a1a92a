"""The fields of a definition in a form: their words, their values, and what a user changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Gettext = Callable[[str], str]
Kind = Literal["text", "choice", "number", "check"]


@dataclass(slots=True)
class FormField:
    """A field of the form. `value` is what the page shows: the stored value, or what the user typed."""

    name: str
    words: str
    hint: str = ""
    kind: Kind = "text"
    choices: tuple[tuple[str, str], ...] = ()
    needed: bool = False
    value: str = ""
    error: str = ""


def form_fields(_: Gettext) -> dict[str, FormField]:
    """The fields by name, without values."""
    fields = [
        FormField("folder", _("Name of the folder"), _("Such as Staff."), needed=True),
        FormField("owner", _("Owner"), _("Empty for a folder that is shared.")),
        FormField(
            "query",
            _("LDAP query"),
            _("A server such as dc1.example.com, an LDAP URL, an ADSI path, or a distinguished name."),
            needed=True,
        ),
        FormField("user", _("User"), _("DOMAIN\\user, user@domain or a DN. Empty for anonymous access.")),
        FormField("base", _("Base"), _("Search only below this entry, such as OU=Users,DC=example,DC=com.")),
        FormField(
            "scope",
            _("Scope"),
            kind="choice",
            choices=(
                ("", _("as in the query")),
                ("sub", _("the base and everything below it")),
                ("one", _("directly below the base")),
                ("base", _("only the base itself")),
            ),
        ),
        FormField("filter", _("Filter"), _("Only entries that match, such as (department=Sales).")),
        FormField("schedule", _("Schedule"), _("every 15m, @hourly, a cron line such as 0 6 * * 1-5, or manual.")),
        FormField(
            "mode",
            _("Mode"),
            kind="choice",
            choices=(
                ("auto", _("automatic")),
                ("full", _("read everything in each run")),
                ("incremental", _("read only changes")),
                ("live", _("live")),
            ),
        ),
        FormField("time_zone", _("Time zone"), _("Of the schedule, such as Europe/Berlin.")),
        FormField(
            "tls",
            _("Encryption"),
            kind="choice",
            choices=(
                ("auto", _("automatic")),
                ("ldaps", _("LDAPS")),
                ("starttls", _("StartTLS")),
                ("none", _("none: passwords can be read on the network")),
            ),
        ),
        FormField("tls_verify", _("Verify the server's certificate"), kind="check"),
        FormField("max_delete_count", _("Hold a run that would delete more contacts than"), kind="number"),
        FormField(
            "max_delete_share", _("Hold a run that would delete a larger share than"), _("Such as 0.2."), kind="number"
        ),
        FormField("allow_empty", _("Allow a run to delete all contacts"), kind="check"),
        FormField("deadline_seconds", _("Seconds until a run is given up"), kind="number"),
        FormField("page_size", _("Entries per page of a search"), _("0 for no pages."), kind="number"),
    ]
    return {field.name: field for field in fields}


WHO_AND_WHEN = ("base", "scope", "filter", "schedule", "mode", "time_zone")
CONNECTION = (
    "tls",
    "tls_verify",
    "max_delete_count",
    "max_delete_share",
    "allow_empty",
    "deadline_seconds",
    "page_size",
)
_FRACTIONS = {"max_delete_share"}


def show_stored(fields: Mapping[str, FormField], definition: Mapping[str, Any]) -> None:
    """Fill the fields with the values of a stored definition."""
    for field in fields.values():
        field.value = _shown(definition.get(field.name))


def show_typed(fields: Mapping[str, FormField], form: Mapping[str, str]) -> None:
    """Fill the fields with what the user typed."""
    for field in fields.values():
        field.value = form.get(field.name, field.value)


def typed_changes(
    fields: Mapping[str, FormField], form: Mapping[str, str], stored: Mapping[str, Any], _: Gettext
) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields that differ from the stored ones, and a sentence for each that is not valid."""
    changes: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, field in fields.items():
        if name not in form:
            continue
        try:
            value = _parsed(field, form[name].strip())
        except ValueError:
            errors[name] = _("This is not a number.")
            continue
        if field.needed and value is None:
            errors[name] = _("This field is needed.")
        elif _shown(value) != _shown(stored.get(name)):
            changes[name] = value
    if form.get("password"):
        changes["password"] = form["password"]
    return changes, errors


def _parsed(field: FormField, text: str) -> Any:
    if field.kind == "check":
        return text == "true"
    if not text:
        return None
    if field.kind == "number":
        return float(text) if field.name in _FRACTIONS else int(text)
    return text


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)

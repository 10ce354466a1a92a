"""The fields of a definition in a form: their words, their values, and what a user changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from contactsync.web.language import mark

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


_FIELDS = (
    FormField("folder", mark("Name of the folder"), mark("Such as Staff."), needed=True),
    FormField("owner", mark("Owner"), mark("Empty for a folder that is shared.")),
    FormField(
        "query",
        mark("LDAP query"),
        mark("A server such as dc1.example.com, an LDAP URL, an ADSI path, or a distinguished name."),
        needed=True,
    ),
    FormField("user", mark("User"), mark("DOMAIN\\user, user@domain or a DN. Empty for anonymous access.")),
    FormField("base", mark("Base"), mark("Search only below this entry, such as OU=Users,DC=example,DC=com.")),
    FormField(
        "scope",
        mark("Scope"),
        kind="choice",
        choices=(
            ("", mark("as in the query")),
            ("sub", mark("the base and everything below it")),
            ("one", mark("directly below the base")),
            ("base", mark("only the base itself")),
        ),
    ),
    FormField("filter", mark("Filter"), mark("Only entries that match, such as (department=Sales).")),
    FormField("schedule", mark("Schedule"), mark("every 15m, @hourly, a cron line such as 0 6 * * 1-5, or manual.")),
    FormField(
        "mode",
        mark("Mode"),
        kind="choice",
        choices=(
            ("auto", mark("automatic")),
            ("full", mark("read everything in each run")),
            ("incremental", mark("read only changes")),
            ("live", mark("live")),
        ),
    ),
    FormField("time_zone", mark("Time zone"), mark("Of the schedule, such as Europe/Berlin.")),
    FormField(
        "tls",
        mark("Encryption"),
        kind="choice",
        choices=(
            ("auto", mark("automatic")),
            ("ldaps", mark("LDAPS")),
            ("starttls", mark("StartTLS")),
            ("none", mark("none: passwords can be read on the network")),
        ),
    ),
    FormField("tls_verify", mark("Verify the server's certificate"), kind="check"),
    FormField("max_delete_count", mark("Hold a run that would delete more contacts than"), kind="number"),
    FormField(
        "max_delete_share",
        mark("Hold a run that would delete a larger share than"),
        mark("Such as 0.2. It counts for deletions, and for each field that would be cleared."),
        kind="number",
    ),
    FormField("allow_empty", mark("Allow a run to delete all contacts"), kind="check"),
    FormField("deadline_seconds", mark("Seconds until a run is given up"), kind="number"),
    FormField("page_size", mark("Entries per page of a search"), mark("0 for no pages."), kind="number"),
)


def form_fields(_: Gettext) -> dict[str, FormField]:
    """The fields by name, without values, in the words of a language."""
    return {field.name: _translated(field, _) for field in _FIELDS}


def _translated(field: FormField, _: Gettext) -> FormField:
    choices = tuple((value, _(words)) for value, words in field.choices)
    return replace(field, words=_(field.words), hint=_(field.hint) if field.hint else "", choices=choices)


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

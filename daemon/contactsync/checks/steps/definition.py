"""The step "definition": whether the fields are valid, and when the definition runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from contactsync.checks.context import CheckContext
from contactsync.checks.result import StepResult, failed, ok
from contactsync.errors import ContactsyncError, DefinitionError, MappingError, QueryError, ScheduleError, SecretError
from contactsync.ldap.dn import canonical_dn
from contactsync.ldap.query.filter import check_filter
from contactsync.model import Auth, Definition
from contactsync.schedule import Timetable
from contactsync.sync.definition import Resolved, resolve

_RUNS_SHOWN = 3
_REPLACEMENTS: dict[str, dict[str, Any]] = {
    "schedule": {"schedule": "manual", "time_zone": "UTC", "jitter_seconds": 0},
    "mapping": {"mapping": None},
    "password_ref": {"password_ref": None},
    "base": {"base": None},
    "filter": {"filter": None},
}
"""What replaces a field that is not valid, so that the other fields and the directory can still be checked."""


def check_definition(context: CheckContext) -> StepResult:
    """Validate every field; raises DefinitionError if the query or the user is not valid."""
    resolved, errors = _resolve_valid_fields(context)
    context.resolved, context.servers = resolved, resolved.query.servers
    details = tuple(f"{name}: {value}" for name, value in _summary(resolved).items())
    data = {"query": str(resolved.query), "next_runs": [time.isoformat() for time in _next_runs(resolved.trigger)]}
    if not errors:
        return ok("All fields are valid.", data, details=details)
    text = " ".join(error.message for error in errors)
    hint = " ".join(filter(None, (error.hint for error in errors)))
    return failed(text, hint, data | {"error_code": errors[0].code}, details=details)


def _resolve_valid_fields(context: CheckContext) -> tuple[Resolved, list[ContactsyncError]]:
    """The definition without its `invalid_fields`, and the error of each of these."""
    definition = context.definition
    errors: list[ContactsyncError] = []
    while True:
        try:
            return resolve(definition), errors
        except (DefinitionError, SecretError) as error:
            field = _invalid_field(error, definition)
            if field is None or field in context.invalid_fields:
                raise
            errors.append(error)
            context.invalid_fields.add(field)
            definition = replace(definition, **_REPLACEMENTS[field])


def _invalid_field(error: ContactsyncError, definition: Definition) -> str | None:
    """The field that the error is about; None for query and user, which have no replacement."""
    for kind, field in ((ScheduleError, "schedule"), (MappingError, "mapping"), (SecretError, "password_ref")):
        if isinstance(error, kind):
            return field
    for field, parse in (("base", canonical_dn), ("filter", check_filter)):
        try:
            parse(getattr(definition, field) or "dc=x")
        except QueryError:
            return field
    return None


def _summary(resolved: Resolved) -> dict[str, str]:
    definition = resolved.definition
    without_user = {
        Auth.EXTERNAL: f"from the certificate {definition.tls_client_cert}",
        Auth.KERBEROS: "from the Kerberos ticket",
    }
    keys = ", ".join(definition.mapping or ())
    return {
        "query": str(resolved.query),
        "user": resolved.user or without_user.get(definition.auth, "none (anonymous)"),
        "mapping": f"of its own, with {keys}" if keys else "the preset for the kind of server",
        "schedule": _schedule(resolved),
    }


def _schedule(resolved: Resolved) -> str:
    definition = resolved.definition
    if resolved.trigger is None:
        return "manual"
    zone = ZoneInfo(definition.time_zone)
    runs = ", ".join(f"{time.astimezone(zone):%d %b %H:%M:%S}" for time in _next_runs(resolved.trigger))
    paused = "" if definition.enabled else " (paused)"
    return f"{definition.schedule}{paused}; next {runs} ({zone.key})"


def _next_runs(trigger: Timetable | None) -> list[datetime]:
    times: list[datetime] = []
    now = datetime.now(UTC)
    time = trigger.get_next_fire_time(None, now) if trigger else None
    while trigger and time and len(times) < _RUNS_SHOWN:
        times.append(time)
        time = trigger.get_next_fire_time(time, now)
    return times

"""The step "definition": do the fields make sense, and when would it run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from contactsync.checks.result import Status, StepResult
from contactsync.errors import ContactsyncError, DefinitionError, MappingError, QueryError, ScheduleError, SecretError
from contactsync.ldap.dn import canonical_dn
from contactsync.ldap.query.filter import check_filter
from contactsync.model import Auth
from contactsync.sync.definition import Resolved, resolve

if TYPE_CHECKING:
    from contactsync.checks.context import CheckContext
    from contactsync.model import Definition
    from contactsync.schedule import Timetable

_RUNS_SHOWN = 3
_INSTEAD: dict[str, dict[str, Any]] = {
    "schedule": {"schedule": "manual", "time_zone": "UTC", "jitter_seconds": 0},
    "mapping": {"mapping": None},
    "password_ref": {"password_ref": None},
    "base": {"base": None},
    "filter": {"filter": None},
}
"""What a field that makes no sense is replaced by, so that the others, and the directory, can still be looked at."""


def check_definition(checkup: CheckContext) -> StepResult:
    """Read every field; raises DefinitionError for one without which no directory can be asked."""
    resolved, problems = _resolve_what_can_be(checkup)
    checkup.resolved, checkup.servers = resolved, resolved.query.servers
    details = tuple(f"{name}: {value}" for name, value in _as_understood(resolved).items())
    data = {"query": str(resolved.query), "next_runs": [time.isoformat() for time in _next_runs(resolved.trigger)]}
    if problems:
        # The directory can be asked all the same, so this is told apart from what ends the check.
        return StepResult(
            status=Status.FAILED,
            text=" ".join(error.message for error in problems),
            hint=" ".join(filter(None, (error.hint for error in problems))),
            details=details,
            data=data | {"error_code": problems[0].code},
        )
    return StepResult(status=Status.OK, text="Every field makes sense.", details=details, data=data)


def _resolve_what_can_be(checkup: CheckContext) -> tuple[Resolved, list[ContactsyncError]]:
    """The definition without the fields in `broken`, and what is wrong with those; raises DefinitionError."""
    definition = checkup.definition
    problems: list[ContactsyncError] = []
    while True:
        try:
            return resolve(definition), problems
        except (DefinitionError, SecretError) as error:
            field = _at_fault(error, definition)
            if field is None or field in checkup.broken:
                raise
            problems.append(error)
            checkup.broken.add(field)
            definition = replace(definition, **_INSTEAD[field])


def _at_fault(error: ContactsyncError, definition: Definition) -> str | None:
    """The field that can be left out; None for query and user, without which nobody can be asked."""
    for kind, field in ((ScheduleError, "schedule"), (MappingError, "mapping"), (SecretError, "password_ref")):
        if isinstance(error, kind):
            return field
    for field, parse in (("base", canonical_dn), ("filter", check_filter)):
        try:
            parse(getattr(definition, field) or "dc=x")
        except QueryError:
            return field
    return None


def _as_understood(resolved: Resolved) -> dict[str, str]:
    definition = resolved.definition
    mapping = definition.mapping
    return {
        "query": str(resolved.query),
        "user": resolved.user or _nobody(definition),
        "mapping": f"its own, keys {', '.join(mapping)}" if mapping else "the preset for the kind of server",
        "schedule": _schedule(resolved),
    }


def _nobody(definition: Definition) -> str:
    who = {Auth.EXTERNAL: f"that of {definition.tls_client_cert}", Auth.KERBEROS: "that of the Kerberos ticket"}
    return who.get(definition.auth, "none (anonymous)")


def _schedule(resolved: Resolved) -> str:
    definition = resolved.definition
    if resolved.trigger is None:
        return "by hand only"
    zone = ZoneInfo(definition.time_zone)
    runs = ", ".join(f"{time.astimezone(zone):%d %b %H:%M:%S}" for time in _next_runs(resolved.trigger))
    paused = "" if definition.enabled else " (paused)"
    return f"{definition.schedule}{paused}; next {runs} ({zone.key})"


def _next_runs(trigger: Timetable | None) -> list[datetime]:
    """The next fire times, in UTC; none for a definition that is run by hand."""
    times: list[datetime] = []
    after = datetime.now(UTC)
    while trigger is not None and len(times) < _RUNS_SHOWN:
        time = trigger.get_next_fire_time(None, after)
        if time is None:
            break
        times.append(time)
        after = time + timedelta(microseconds=1)
    return times

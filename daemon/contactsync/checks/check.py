"""Walks the steps of a check in order; a step whose ground is missing is skipped, the others go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from contactsync.checks.context import CheckContext, CheckLimits, Password, Preview
from contactsync.checks.result import Status, StepResult, failed
from contactsync.checks.steps.bind import check_bind, check_root_dse
from contactsync.checks.steps.changes import check_changes
from contactsync.checks.steps.definition import check_definition
from contactsync.checks.steps.deleted_objects import check_deleted_objects
from contactsync.checks.steps.network import check_dns, check_tcp
from contactsync.checks.steps.plan import check_plan
from contactsync.checks.steps.sample import check_identity, check_paging, check_sample
from contactsync.checks.steps.search import check_base, check_filter
from contactsync.checks.steps.tls import check_tls
from contactsync.errors import ContactsyncError
from contactsync.model import Definition
from contactsync.sync.options import RunOptions


@dataclass(frozen=True, slots=True)
class Step:
    """`name` is stable, for scripts; `needs` are the steps without which this one can find nothing out."""

    name: str
    title: str
    look: Callable[[CheckContext], StepResult]
    needs: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    """Fields of the definition that have to make sense."""


_FIRST = "Definition"
STEPS = (
    Step("definition", _FIRST, check_definition),
    Step("dns", "DNS", check_dns, ("definition",)),
    Step("tcp", "TCP", check_tcp, ("dns",)),
    Step("tls", "TLS", check_tls, ("tcp",)),
    Step("bind", "Bind", check_bind, ("tls",)),
    Step("root_dse", "Root DSE", check_root_dse, ("bind",)),
    Step("base", "Base", check_base, ("bind",), ("base",)),
    Step("filter", "Filter", check_filter, ("base",), ("filter",)),
    Step("identity", "Identity", check_identity, ("filter",), ("mapping",)),
    Step("paging", "Paging", check_paging, ("filter",), ("mapping",)),
    Step("changes", "Changes", check_changes, ("filter",), ("mapping",)),
    Step("deleted_objects", "Deletions", check_deleted_objects, ("bind",)),
    Step("sample", "Sample", check_sample, ("filter",), ("mapping",)),
    Step("plan", "First plan", check_plan, ("filter",), ("mapping",)),
)
TITLES = {step.name: step.title for step in STEPS}


def check(
    definition: Definition,
    password: Password,
    options: RunOptions,
    *,
    preview: Preview | None = None,
    limits: CheckLimits | None = None,
    entering: Callable[[str], None] = lambda _name: None,
) -> Iterator[StepResult]:
    """The result of each step as soon as it is known, one for each of STEPS; `entering` hears of a step before.

    `definition` need not be stored; `preview` makes the plan of one that is. Nothing is changed anywhere. Raises
    nothing that a definition or a directory can cause.
    """
    with ExitStack() as stack:
        checkup = CheckContext(definition, password, options, limits or CheckLimits(), preview, stack)
        missing: dict[str, str] = {}
        for step in STEPS:
            entering(step.name)
            cause = next((missing[name] for name in step.needs if name in missing), None)
            if checkup.broken.intersection(step.fields):
                cause = cause or _FIRST
            result = _take(step, checkup, cause)
            if not result.leaves_ground:
                missing[step.name] = cause or step.title
            yield result


def _take(step: Step, checkup: CheckContext, cause: str | None) -> StepResult:
    """`cause` is the title of the step whose failure takes the ground from this one."""
    started = time.monotonic()
    if cause:
        result = StepResult(status=Status.SKIPPED, text=f'Not done, since "{cause}" failed.', leaves_ground=False)
    else:
        try:
            result = step.look(checkup)
        except ContactsyncError as error:
            result = failed(error)
    return replace(result, name=step.name, seconds=round(time.monotonic() - started, 3))

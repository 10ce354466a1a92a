"""The steps of a check in their order. A step is skipped if one that it needs failed; the others go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from contactsync.checks.context import CheckContext, CheckLimits, Password, Preview
from contactsync.checks.result import Status, StepResult, blocked
from contactsync.checks.steps.bind import check_bind, check_root_dse
from contactsync.checks.steps.changes import check_changes, check_deleted_objects
from contactsync.checks.steps.definition import check_definition
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
    """A step: a stable `name` for scripts, and the steps and the valid fields of the definition that it `needs`."""

    name: str
    title: str
    run: Callable[[CheckContext], StepResult]
    needs: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


_DEFINITION = "Definition"
STEPS = (
    Step("definition", _DEFINITION, check_definition),
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


def check(
    definition: Definition,
    password: Password,
    options: RunOptions,
    *,
    preview: Preview | None = None,
    limits: CheckLimits | None = None,
    entering: Callable[[str], None] = lambda _name: None,
) -> Iterator[StepResult]:
    """The results of STEPS, each as soon as it is known; `entering` is called with the name of each step before it.

    `definition` need not be stored; `preview` makes the plan of one that is. Errors of the definition and of the
    directory become results.
    """
    with ExitStack() as stack:
        context = CheckContext(definition, password, options, limits or CheckLimits(), preview, stack)
        failures: dict[str, str] = {}
        for step in STEPS:
            entering(step.name)
            failure = next((failures[name] for name in step.needs if name in failures), None)
            if failure is None and context.invalid_fields.intersection(step.fields):
                failure = _DEFINITION
            result = _result_of(step, context, failure)
            if result.blocking:
                failures[step.name] = failure or step.title
            yield result


def _result_of(step: Step, context: CheckContext, failure: str | None) -> StepResult:
    """The result of a step; skipped if there is a `failure`, the title of the step that failed first."""
    started = time.monotonic()
    if failure:
        result = StepResult(Status.SKIPPED, f'Not checked, because "{failure}" failed.', blocking=True)
    else:
        try:
            result = step.run(context)
        except ContactsyncError as error:
            result = blocked(error)
    return replace(result, name=step.name, title=step.title, seconds=round(time.monotonic() - started, 3))

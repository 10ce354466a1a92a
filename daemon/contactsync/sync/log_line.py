"""The log lines of a run that has ended."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import structlog

from contactsync.model import CERTIFICATE_WARNING, Outcome, RunReport

log = structlog.get_logger()


def log_run(report: RunReport) -> None:
    """Log everything about a run in one line, after the warnings about certificates."""
    counts = report.counts
    details: dict[str, object] = {
        "error_code": report.error_code,
        "error": report.error,
        "held": report.held_reason,
        "skipped_servers": report.skipped_servers or None,
        "full_reason": report.full_reason,
    }
    if report.certificates.server_expires_at:
        details["certificate_days"] = (report.certificates.server_expires_at - datetime.now(UTC)).days
    if report.plan and report.plan.rejected_sample:
        details["rejected_sample"] = [f"{dn}: {reason}" for dn, reason in report.plan.rejected_sample]
    _warn_of_certificates(report)
    log.log(
        _level(report),
        "run.finished",
        outcome=report.outcome.value,
        trigger=report.trigger.value,
        mode=report.mode.value,
        server=report.server,
        attempts=report.attempts,
        entries=counts.entries,
        unchanged=counts.unchanged,
        inserted=counts.inserted,
        updated=counts.updated,
        deleted=counts.deleted,
        refreshed=counts.refreshed,
        rejected=counts.rejected,
        trimmed=counts.trimmed,
        references=counts.references,
        seconds=round(sum(report.seconds.values()), 3),
        stages={stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
        **{name: value for name, value in details.items() if value is not None},
    )


def _warn_of_certificates(report: RunReport) -> None:
    certificates, now = report.certificates, datetime.now(UTC)
    if certificates.unchecked:
        log.warning("certificate.unchecked", server=report.server)
    for whose, expires_at in (("server", certificates.server_expires_at), ("client", certificates.client_expires_at)):
        if expires_at and expires_at - now < CERTIFICATE_WARNING:
            days = (expires_at - now).days
            log.warning("certificate.expires", whose=whose, server=report.server, days=days, expires_at=str(expires_at))


def _level(report: RunReport) -> int:
    """ERROR: an administrator has to act now. WARNING: only if it goes on."""
    if report.outcome is Outcome.HELD or (report.outcome is Outcome.FAILED and not report.error_may_pass):
        return logging.ERROR
    return logging.WARNING if report.outcome is Outcome.FAILED or report.counts.rejected else logging.INFO

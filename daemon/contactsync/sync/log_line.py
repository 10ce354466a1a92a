"""The log lines of a run that has ended."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import structlog

from contactsync.model import CERTIFICATE_WARNING, Outcome, RunReport
from contactsync.sync.document import RunResult

log = structlog.get_logger(__name__)  # structlog finds the name anew for each record

_BOUND = {"run_id", "folder_id", "definition_id", "label", "started_at", "finished_at", "deleted_names", "recognised"}


def log_run(report: RunReport) -> None:
    """Log the document of a run in one line, after the warnings about certificates.

    The ids and the label are bound to the log already; a field without a value is left out.
    """
    document = RunResult.of(report).model_dump(mode="json", exclude=_BOUND, exclude_none=True)
    document["skipped_servers"] = report.skipped_servers or None
    document["rejected_sample"] = [f"{entry['dn']}: {entry['reason']}" for entry in document["rejected_sample"]] or None
    document["trimmed_sample"] = [
        f"{value['dn']}: {value['field']}: {value['reason']}" for value in document["trimmed_sample"]
    ] or None
    if report.certificates.server_expires_at:
        document["certificate_days"] = (report.certificates.server_expires_at - datetime.now(UTC)).days
    _warn_of_certificates(report)
    log.log(_level(report), "run.finished", **{name: value for name, value in document.items() if value is not None})


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
    if report.outcome is Outcome.FAILED or report.counts.rejected:
        return logging.WARNING
    return logging.DEBUG if report.is_idle else logging.INFO

"""The end of a run as JSON, for the node that awaits it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from contactsync import errors
from contactsync.errors import ContactsyncError
from contactsync.model import Definition, RunReport

_REPORT = TypeAdapter(RunReport)
_TRIMMED = 10

WITHDRAWN = {"withdrawn": True}


def encode_report(report: RunReport) -> dict[str, Any]:
    """A report without what only its own process needs: secrets of the definition, digests, most trimmed values."""
    definition = report.definition
    named = Definition(
        folder_id=definition.folder_id,
        definition_id=definition.definition_id,
        folder=definition.folder,
        owner=definition.owner,
        name=definition.name,
        mode=definition.mode,
    )
    sent = replace(
        report,
        definition=named,
        source_digest=None,
        mapping_digest=None,
        trimmed_values=report.trimmed_values[:_TRIMMED],
    )
    return {"report": _REPORT.dump_python(sent, mode="json")}


def encode_error(error: Exception) -> dict[str, Any]:
    """Why a run could not start. Only foreseen errors have text that may be shown."""
    if not isinstance(error, ContactsyncError):
        return {"error": {"class": "ContactsyncError", "code": "internal", "message": "An unexpected error occurred.",
                          "hint": "The log of the node that made the run has the details."}}  # fmt: skip
    return {
        "error": {
            "class": type(error).__name__,
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
        }
    }


def decode_report(body: dict[str, Any]) -> RunReport:
    """The report. Raises the error that kept the run from starting."""
    if failure := body.get("error"):
        raise _error(failure)
    return _REPORT.validate_python(body["report"])


def _error(failure: dict[str, str]) -> ContactsyncError:
    kind = getattr(errors, failure["class"], ContactsyncError)
    error: ContactsyncError = kind(failure["message"], hint=failure["hint"])
    error.code = failure["code"]
    return error

"""Errors as problem documents (RFC 9457), with the stable `code` and the hint of the error."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from contactsync.errors import (
    AlreadyRunning,
    ContactsyncError,
    DatabaseConflict,
    DatabaseError,
    DefinitionError,
    DirectoryError,
    NotFound,
    RunCancelled,
    SecretError,
    SettingsError,
    UsageError,
)

MEDIA_TYPE = "application/problem+json"


class NotReady(ContactsyncError):
    """The daemon cannot do its work."""

    code = "not_ready"


class Stopping(ContactsyncError):
    """The daemon is stopping."""

    code = "stopping"


class Withdrawn(ContactsyncError):
    """The request was withdrawn before the run started."""

    code = "run.withdrawn"


class TooMany(ContactsyncError):
    """The limit of concurrent requests of this kind is reached."""

    code = "too_many"


_STATUS: tuple[tuple[type[ContactsyncError], HTTPStatus], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (AlreadyRunning, HTTPStatus.CONFLICT),
    (RunCancelled, HTTPStatus.CONFLICT),
    (DatabaseConflict, HTTPStatus.CONFLICT),
    (UsageError, HTTPStatus.CONFLICT),
    (DefinitionError, HTTPStatus.CONFLICT),
    (SecretError, HTTPStatus.CONFLICT),
    (SettingsError, HTTPStatus.CONFLICT),
    (DirectoryError, HTTPStatus.BAD_GATEWAY),
    (DatabaseError, HTTPStatus.SERVICE_UNAVAILABLE),
    (NotReady, HTTPStatus.SERVICE_UNAVAILABLE),
    (Stopping, HTTPStatus.SERVICE_UNAVAILABLE),
    (TooMany, HTTPStatus.SERVICE_UNAVAILABLE),
    (Withdrawn, HTTPStatus.CONFLICT),
)
"""The first match counts. 409 means: well-formed, but not possible in the present state."""


class Invalid(BaseModel):
    """One invalid part of a request."""

    location: str = Field(description="Where: path, query or body, and the name.")
    message: str


class Problem(BaseModel):
    """A problem document (RFC 9457). `code` is stable; `hint` says what to do next."""

    type: str = Field(description="about:blank, or urn:contactsync:problem: and the code.")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    instance: str | None = Field(None, description="The path of the request.")
    code: str
    hint: str | None = None
    invalid: list[Invalid] | None = None


def problem_of_error(error: ContactsyncError, instance: str | None = None) -> Problem:
    """The problem of an error of contactsync's."""
    kind = type(error)
    return Problem(
        type=f"urn:contactsync:problem:{error.code}",
        title=(kind.__doc__ or kind.__name__).strip().splitlines()[0],
        status=next((status for known, status in _STATUS if isinstance(error, known)), 500),
        detail=error.message,
        instance=instance,
        code=error.code,
        hint=error.hint or None,
    )


def problem_of_status(
    status: int, detail: str | None = None, instance: str | None = None, invalid: list[Invalid] | None = None
) -> Problem:
    """The problem of an HTTP status."""
    known = HTTPStatus(status)
    return Problem(
        type="about:blank",
        title=known.phrase,
        status=status,
        detail=detail or known.description or known.phrase,
        instance=instance,
        # Python 3.13 renamed status 422; a code is stable.
        code="invalid_request" if invalid is not None else known.name.lower(),
        invalid=invalid,
    )


def respond(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """The problem as a response."""
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def add_handlers(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""
    app.add_exception_handler(ContactsyncError, _on_error)
    app.add_exception_handler(HTTPException, _on_status)
    app.add_exception_handler(RequestValidationError, _on_invalid)


def problem_responses() -> dict[int | str, dict[str, Any]]:
    """The error responses of every operation in the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "4XX": {"description": "The request is not valid, or not possible in the present state.", "content": content},
        "5XX": {"description": "The daemon, its database or a directory fails.", "content": content},
    }


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ContactsyncError)  # noqa: S101  (registered for these only)
    return respond(problem_of_error(error, request.url.path))


async def _on_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  (registered for these only)
    named = None if error.detail == HTTPStatus(error.status_code).phrase else error.detail
    headers = dict(error.headers) if error.headers else None
    return respond(problem_of_status(error.status_code, named, request.url.path), headers)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  (registered for these only)
    invalid = [
        Invalid(location=".".join(str(part) for part in item["loc"]), message=item["msg"]) for item in error.errors()
    ]
    detail = "; ".join(f"{item.location}: {item.message}" for item in invalid)
    return respond(problem_of_status(HTTPStatus.UNPROCESSABLE_ENTITY, detail, request.url.path, invalid))

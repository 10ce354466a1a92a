"""Errors as problem documents (RFC 9457), with the stable `code` and the hint of the error."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from contactsync.api.hints import wording_for
from contactsync.errors import (
    ActorMissing,
    ContactsyncError,
    DatabaseConflict,
    DatabaseError,
    DatabaseForbidden,
    DirectoryError,
    FieldsNotPermitted,
    Forbidden,
    MappingError,
    NotFound,
    NotReady,
    PasswordNotTyped,
    RequestsLimited,
    Stopping,
    TokenInUrl,
    TokenRefused,
    TooMany,
)
from contactsync.operations.fields import InvalidFields

MEDIA_TYPE = "application/problem+json"


_STATUS: tuple[tuple[type[ContactsyncError], HTTPStatus], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (TokenRefused, HTTPStatus.UNAUTHORIZED),
    (ActorMissing, HTTPStatus.BAD_REQUEST),
    (TokenInUrl, HTTPStatus.BAD_REQUEST),
    (RequestsLimited, HTTPStatus.TOO_MANY_REQUESTS),
    (InvalidFields, HTTPStatus.UNPROCESSABLE_ENTITY),
    (DirectoryError, HTTPStatus.BAD_GATEWAY),
    (DatabaseConflict, HTTPStatus.CONFLICT),
    (DatabaseForbidden, HTTPStatus.FORBIDDEN),
    (DatabaseError, HTTPStatus.SERVICE_UNAVAILABLE),
    (NotReady, HTTPStatus.SERVICE_UNAVAILABLE),
    (Stopping, HTTPStatus.SERVICE_UNAVAILABLE),
    (TooMany, HTTPStatus.SERVICE_UNAVAILABLE),
    (ContactsyncError, HTTPStatus.CONFLICT),
)
"""The first match counts. 409 means: well-formed, but not possible in the present state."""


class FieldError(BaseModel):
    """A field of the request's body, or a parameter of its path or query, that is not valid."""

    pointer: str | None = Field(None, description="A JSON pointer (RFC 6901) to the field.", examples=["/filter"])
    parameter: str | None = Field(None, description="The name of the parameter.", examples=["limit"])
    detail: str
    hint: str | None = None
    code: str | None = None


class Problem(BaseModel):
    """A problem document (RFC 9457). `code` is stable; `hint` says what to do next."""

    type: str = Field(description="about:blank, or urn:contactsync:problem: and the code.")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    instance: str | None = Field(None, description="The path of the request.")
    code: str
    hint: str | None = None
    errors: list[FieldError] | None = Field(None, description="All fields and parameters that are not valid.")


def problem_of_error(error: ContactsyncError, instance: str | None = None) -> Problem:
    """The problem of an error of contactsync's."""
    return Problem(
        type=f"urn:contactsync:problem:{error.code}",
        title=(type(error).__doc__ or type(error).__name__).strip().splitlines()[0],
        status=next(status for kind, status in _STATUS if isinstance(error, kind)),
        detail=error.message,
        instance=instance,
        code=error.code,
        hint=error.hint or None,
        errors=_field_errors(error),
    )


def _field_errors(error: ContactsyncError) -> list[FieldError] | None:
    if isinstance(error, InvalidFields):
        wrong: dict[str, ContactsyncError] = dict(error.errors)
    elif isinstance(error, FieldsNotPermitted):
        wrong = dict.fromkeys(error.fields, error)
    elif isinstance(error, PasswordNotTyped):
        wrong = {"password": error}
    else:
        return None
    return [
        FieldError(pointer=_pointer(name, each), detail=each.message, hint=each.hint or None, code=each.code)
        for name, error in wrong.items()
        for each in (error, *(error.others if isinstance(error, MappingError) and name == "mapping" else ()))
    ]


def _pointer(name: str, error: ContactsyncError) -> str:
    """The pointer to a field, or into it."""
    part = error.part if isinstance(error, MappingError) and name == "mapping" else ()
    return "/".join(["", name, *(key.replace("~", "~0").replace("/", "~1") for key in part)])


def problem_of_status(
    status: int, detail: str | None = None, instance: str | None = None, errors: list[FieldError] | None = None
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
        code="malformed_request" if errors is not None else known.name.lower(),
        errors=errors,
    )


def respond(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """The problem as a response."""
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def add_handlers(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""

    @app.exception_handler(ContactsyncError)
    async def on_error(request: Request, error: ContactsyncError) -> Response:
        problem = problem_of_error(error, request.url.path)
        wording = wording_for(request)
        for part in (problem, *(problem.errors or ())):
            part.hint = part.hint and wording(part.hint)
        headers = {"Retry-After": str(error.seconds)} if isinstance(error, RequestsLimited) else None
        return respond(problem, headers)

    @app.exception_handler(HTTPException)
    async def on_status(request: Request, error: HTTPException) -> Response:
        detail = None if error.detail == HTTPStatus(error.status_code).phrase else error.detail
        headers = dict(error.headers) if error.headers else None
        return respond(problem_of_status(error.status_code, detail, request.url.path), headers)

    @app.exception_handler(RequestValidationError)
    async def on_malformed(request: Request, error: RequestValidationError) -> Response:
        detail = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        errors = [_field_error(item) for item in error.errors()]
        return respond(problem_of_status(HTTPStatus.UNPROCESSABLE_ENTITY, detail, request.url.path, errors))


def _field_error(item: dict[str, Any]) -> FieldError:
    where, *parts = map(str, item["loc"])
    if where != "body":
        return FieldError(parameter=".".join(parts), detail=item["msg"])
    if item["type"] == "json_invalid":  # the position is no field
        parts = []
    escaped = (part.replace("~", "~0").replace("/", "~1") for part in parts)
    return FieldError(pointer="".join(f"/{part}" for part in escaped), detail=item["msg"])


def problem_responses() -> dict[int | str, dict[str, Any]]:
    """The error responses of every operation in the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "4XX": {"description": "The request is not valid, or not possible in the present state.", "content": content},
        "5XX": {"description": "The daemon, its database or a directory fails.", "content": content},
    }

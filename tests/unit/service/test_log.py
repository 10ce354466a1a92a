"""The log: one form for our records and those of libraries, for programs or for people, and without secrets."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from typing import Any

import pytest
import structlog

from contactsync.log.config import configure_logging

pytestmark = pytest.mark.usefixtures("restored_logging")
both_formats = pytest.mark.parametrize("log_format", ["json", "console"])
to_both = pytest.mark.parametrize("terminal", [False, True])


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return True


def configured(log_format: Any = "json", *, terminal: bool = False, **environ: str) -> io.StringIO:
    """The stream of a log of this format."""
    stream = Terminal() if terminal else io.StringIO()
    configure_logging(log_format, "info", stream, environ)
    return stream


@pytest.fixture
def stream() -> io.StringIO:
    """Give the stream of a log in JSON."""
    return configured()


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    """The records so far, each one line of JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def record(stream: io.StringIO) -> dict[str, Any]:
    """The only record so far."""
    (only,) = records(stream)
    return only


def fail_with_a_secret_in_a_variable(password: str) -> None:
    """Raise in a function whose local variable holds a password."""
    raise ValueError(len(password))


def test_a_record_is_one_line_of_json(stream: io.StringIO) -> None:
    """Time in UTC, level, event, logger and fields are on one line, whatever they contain."""
    structlog.get_logger("contactsync.sync.run").info("run\ndone", action="run.done", entries=3, who="Zoë", raw=b"\xff")
    line = record(stream)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "event": "run\ndone",
        "logger": "contactsync.sync.run",
        "action": "run.done",
        "entries": 3,
        "who": "Zoë",
        "raw": "b'\\xff'",
    }


@pytest.mark.parametrize(
    ("logger", "event"),
    [("psycopg", "database.client"), ("psycopg.pool", "database.client"), ("asyncio", "library.message")],
)
def test_a_record_of_a_library_has_an_event_and_a_message(stream: io.StringIO, logger: str, event: str) -> None:
    """Its text, which is free, is the field `message`; its other fields stay."""
    logging.getLogger(logger).warning("%d connections", 3, extra={"pool": "main"})
    line = record(stream)
    del line["timestamp"]
    assert line == {"level": "warning", "event": event, "logger": logger, "message": "3 connections", "pool": "main"}


def test_bound_fields_are_in_every_record_of_the_block(stream: io.StringIO) -> None:
    """In our records and in those of libraries."""
    with structlog.contextvars.bound_contextvars(definition=3, folder="Staff", run=7):
        structlog.get_logger().info("ours")
        logging.getLogger("apscheduler").error("theirs")
    structlog.get_logger().info("after")
    bound = [(line.get("definition"), line.get("folder"), line.get("run")) for line in records(stream)]
    assert bound == [(3, "Staff", 7), (3, "Staff", 7), (None, None, None)]


def test_libraries_log_warnings_and_errors_only(stream: io.StringIO) -> None:
    """At debug there are our own details, but not theirs; at info neither."""
    structlog.get_logger("contactsync").debug("ours")
    logging.getLogger("apscheduler.scheduler").info("theirs")
    assert records(stream) == []
    configure_logging("json", "debug", stream, {})
    structlog.get_logger("contactsync").debug("ours")
    logging.getLogger("apscheduler.scheduler").debug("theirs")
    assert record(stream)["event"] == "ours"


def test_ldap3_logs_nothing(stream: io.StringIO) -> None:
    """Its log contains what it sends."""
    logging.getLogger("ldap3").error("bind with sekret")
    assert stream.getvalue() == ""


@both_formats
def test_fields_with_the_name_of_a_secret_are_redacted(log_format: Any) -> None:
    """At any depth; a reference to a password is not a secret."""
    stream = configured(log_format)
    log = structlog.get_logger()
    log.info("bind", password="sekret", password_ref="env:LDAP", options=[{"Bind_Password": "sekret"}])
    logging.getLogger("x").error("bind", extra={"client_secret": "sekret"})
    with structlog.contextvars.bound_contextvars(credentials=("sekret",)):
        log.info("bind")
    assert "sekret" not in stream.getvalue()
    assert stream.getvalue().count("***") == 4
    assert "env:LDAP" in stream.getvalue()


@to_both
@both_formats
def test_control_characters_are_escaped(log_format: Any, *, terminal: bool) -> None:
    """A name cannot steer the terminal or add a line, also as an event or in a list."""
    hostile = "x\x1b]0;owned\x07\x9b2J\u202e\r\n2026 [error] forged"
    stream = configured(log_format, terminal=terminal)
    structlog.get_logger().info(hostile, folder=hostile, names=[hostile])
    logging.getLogger("library").error(hostile)
    text = re.sub("\x1b\\[[0-9;]*m", "", stream.getvalue())
    assert text.count("owned") == 4
    assert text.count("\n") == 2
    assert text.replace("\n", "").isprintable()


def test_text_for_people_has_no_doubled_backslash() -> None:
    """A user of a domain is shown as it was typed, also in a sentence and in a list; JSON has to double it."""
    user = "EXAMPLE\\reader"
    stream = configured("console", terminal=False)
    structlog.get_logger().info("bind", user=user, error=f"The server refused {user}.", users=[user])
    assert stream.getvalue().count(user) == 3
    assert "\\\\" not in stream.getvalue()


@to_both
@both_formats
def test_tracebacks_have_no_local_variables(log_format: Any, *, terminal: bool) -> None:
    """They show the functions, but not the values."""
    stream = configured(log_format, terminal=terminal)
    try:
        fail_with_a_secret_in_a_variable("sek" + "ret")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("library").exception("failed")
    assert stream.getvalue().count("fail_with_a_secret_in_a_variable") >= 2
    assert "sekret" not in stream.getvalue()


def test_an_exception_is_one_field(stream: io.StringIO) -> None:
    """The traceback is text, also if the exception is logged after its handler."""
    with pytest.raises(ValueError, match="0") as caught:
        fail_with_a_secret_in_a_variable("")
    error = caught.value
    structlog.get_logger().error("failed", exc_info=error)
    logging.getLogger("library").error("failed", exc_info=(ValueError, error, error.__traceback__))
    for line in records(stream):
        assert line["exception"].startswith("Traceback (most recent call last):\n")
        assert line["exception"].endswith("\nValueError: 0")


def test_warnings_go_to_the_log(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning of Python becomes a record."""
    monkeypatch.setattr(warnings, "filters", [("always", None, UserWarning, None, 0)])
    warnings.warn("careful", stacklevel=1)
    assert "UserWarning: careful" in record(stream)["message"]


@pytest.mark.parametrize(
    ("terminal", "environ", "as_json"),
    [
        (False, {}, True),
        (True, {}, False),
        (True, {"JOURNAL_STREAM": "8:1"}, True),
        (True, {"INVOCATION_ID": "0f"}, True),
    ],
)
def test_auto_is_text_on_a_terminal_and_json_elsewhere(
    environ: dict[str, str], *, terminal: bool, as_json: bool
) -> None:
    """Also on a terminal under a service manager."""
    stream = configured("auto", terminal=terminal, **environ)
    structlog.get_logger().info("hello")
    assert stream.getvalue().startswith("{") is as_json


@to_both
def test_only_a_terminal_gets_colours(*, terminal: bool) -> None:
    """Text in a file has none."""
    stream = configured("console", terminal=terminal)
    structlog.get_logger().info("hello")
    assert ("\x1b[" in stream.getvalue()) is terminal


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_letters_that_the_stream_lacks_are_escaped(encoding: str) -> None:
    """In both formats the record is written."""
    octets = io.BytesIO()
    stream = io.TextIOWrapper(octets, encoding=encoding, write_through=True)
    configure_logging("json", "info", stream, {})
    structlog.get_logger().info("hello", dn="cn=Zoë \udcff")
    assert json.loads(octets.getvalue())["dn"] == "cn=Zoë \udcff"
    configure_logging("console", "info", stream, {})
    structlog.get_logger().info("again", dn="cn=Zoë \udcff")
    assert b"again" in octets.getvalue()


def test_a_second_configuration_replaces_the_first(stream: io.StringIO) -> None:
    """Also for loggers made before it, and no record is written twice."""
    log = structlog.get_logger("early")
    log.info("first")
    second = configured()
    log.info("second")
    assert [line["event"] for line in records(stream)] == ["first"]
    assert [line["event"] for line in records(second)] == ["second"]

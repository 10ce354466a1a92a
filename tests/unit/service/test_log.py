"""The log: one form for us and the libraries, for machines or for people, and no secret in either."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from contactsync.log.config import configure_logging


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Whether people are looking."""
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    """A stream with logging configured to write JSON to it."""
    stream = io.StringIO()
    configure_logging("json", "info", stream, {})
    return stream


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    """The lines written so far, each of which must be one JSON object."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def record(stream: io.StringIO) -> dict[str, Any]:
    """The only line written so far."""
    (only,) = records(stream)
    return only


def fail_with_a_secret_in_a_variable(password: str) -> None:
    """Raise where a local variable holds a password."""
    raise ValueError(len(password))


def test_a_record_is_one_line_of_json(stream: io.StringIO) -> None:
    """Time in UTC, level, event, logger and fields stand on one line, whatever is in them."""
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


def test_libraries_are_logged_in_the_same_form(stream: io.StringIO) -> None:
    """A record of the standard library's logging has the same fields as our own."""
    logging.getLogger("psycopg.pool").warning("%d connections", 3, extra={"pool": "main"})
    line = record(stream)
    assert (line["event"], line["level"], line["logger"], line["pool"]) == (
        "3 connections",
        "warning",
        "psycopg.pool",
        "main",
    )


def test_context_is_on_every_record_while_it_lasts(stream: io.StringIO) -> None:
    """What is bound for a run stands on our records and the libraries', and is gone afterwards."""
    with structlog.contextvars.bound_contextvars(definition=3, folder="Staff", run=7):
        structlog.get_logger().info("ours")
        logging.getLogger("apscheduler").error("theirs")
    structlog.get_logger().info("after")
    lines = records(stream)
    assert [(line.get("definition"), line.get("folder"), line.get("run")) for line in lines] == [
        (3, "Staff", 7),
        (3, "Staff", 7),
        (None, None, None),
    ]


def test_levels_below_the_chosen_one_are_left_out(stream: io.StringIO) -> None:
    """Debug records do not show at info, nor does the daily business of the libraries."""
    structlog.get_logger("contactsync").debug("ours")
    logging.getLogger("apscheduler.scheduler").info("theirs")
    assert records(stream) == []


def test_debug_shows_our_details_and_not_the_libraries(stream: io.StringIO) -> None:
    """At debug our own records show; the libraries' would drown them."""
    configure_logging("json", "debug", stream, {})
    structlog.get_logger("contactsync").debug("ours")
    logging.getLogger("apscheduler.scheduler").debug("theirs")
    assert record(stream)["event"] == "ours"


def test_ldap3_logs_nothing(stream: io.StringIO) -> None:
    """The log of ldap3, which holds what it sends, never shows."""
    logging.getLogger("ldap3").error("bind with sekret")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_fields_named_like_secrets_are_blotted_out(log_format: Any) -> None:
    """Passwords and their like are replaced at any depth, and a reference to one is not."""
    stream = io.StringIO()
    configure_logging(log_format, "info", stream, {})
    log = structlog.get_logger()
    log.info("bind", password="sekret", password_ref="env:LDAP", options=[{"Bind_Password": "sekret"}])
    logging.getLogger("x").error("bind", extra={"client_secret": "sekret"})
    with structlog.contextvars.bound_contextvars(credentials=("sekret",)):
        log.info("bind")
    assert "sekret" not in stream.getvalue()
    assert stream.getvalue().count("***") == 4
    assert "env:LDAP" in stream.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_values_of_others_steer_no_terminal_and_make_no_lines(log_format: Any, *, terminal: bool) -> None:
    """A name with escape sequences is shown with them as text, in one line, also as an event or in a list."""
    hostile = "x\x1b]0;owned\x07\x9b2J\u202e\r\n2026 [error] forged"
    stream = Terminal() if terminal else io.StringIO()
    configure_logging(log_format, "info", stream, {})
    structlog.get_logger().info(hostile, folder=hostile, names=[hostile])
    logging.getLogger("library").error(hostile)
    text = re.sub("\x1b\\[[0-9;]*m", "", stream.getvalue())
    assert text.count("owned") == 4
    assert text.count("\n") == 2
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_tracebacks_hold_no_local_variables(log_format: Any, *, terminal: bool) -> None:
    """A traceback shows where it happened and never what the variables held."""
    stream = Terminal() if terminal else io.StringIO()
    configure_logging(log_format, "info", stream, {})
    try:
        fail_with_a_secret_in_a_variable("sek" + "ret")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("library").exception("failed")
    assert stream.getvalue().count("fail_with_a_secret_in_a_variable") >= 2
    assert "sekret" not in stream.getvalue()


def test_an_exception_is_one_field(stream: io.StringIO) -> None:
    """The traceback is a string in the record, also when it is logged after the handler has ended."""
    with pytest.raises(ValueError, match="0") as caught:
        fail_with_a_secret_in_a_variable("")
    kept = caught.value
    structlog.get_logger().error("failed", exc_info=kept)
    logging.getLogger("library").error("failed", exc_info=(ValueError, kept, kept.__traceback__))
    for line in records(stream):
        assert line["exception"].startswith("Traceback (most recent call last):\n")
        assert line["exception"].endswith("\nValueError: 0")


def test_warnings_go_to_the_log(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python warning becomes a record instead of loose text."""
    monkeypatch.setattr(warnings, "filters", [("always", None, UserWarning, None, 0)])
    warnings.warn("careful", stacklevel=1)
    assert "UserWarning: careful" in record(stream)["event"]


@pytest.mark.parametrize(
    ("terminal", "environ", "as_json"),
    [
        (False, {}, True),
        (True, {}, False),
        (True, {"JOURNAL_STREAM": "8:1"}, True),
        (True, {"INVOCATION_ID": "0f"}, True),
    ],
)
def test_auto_writes_for_whoever_reads(environ: dict[str, str], *, terminal: bool, as_json: bool) -> None:
    """Readable lines go to a terminal, JSON to anything else and to a service manager."""
    stream = Terminal() if terminal else io.StringIO()
    configure_logging("auto", "info", stream, environ)
    structlog.get_logger().info("hello")
    assert stream.getvalue().startswith("{") is as_json


@pytest.mark.parametrize("terminal", [False, True])
def test_colours_are_for_terminals_only(*, terminal: bool) -> None:
    """Lines for people have colours on a terminal and none in a file."""
    stream = Terminal() if terminal else io.StringIO()
    configure_logging("console", "info", stream, {})
    structlog.get_logger().info("hello")
    assert ("\x1b[" in stream.getvalue()) is terminal


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_letters_that_the_stream_lacks_cost_no_record(encoding: str) -> None:
    """A name that the stream's encoding cannot hold is written escaped, in either form."""
    octets = io.BytesIO()
    stream = io.TextIOWrapper(octets, encoding=encoding, write_through=True)
    configure_logging("json", "info", stream, {})
    structlog.get_logger().info("hello", dn="cn=Zoë \udcff")
    assert json.loads(octets.getvalue())["dn"] == "cn=Zoë \udcff"
    configure_logging("console", "info", stream, {})
    structlog.get_logger().info("again", dn="cn=Zoë \udcff")
    assert b"again" in octets.getvalue()


def test_configuring_again_replaces_the_first(stream: io.StringIO) -> None:
    """A logger made before a second configuration follows it, and nothing is logged twice."""
    log = structlog.get_logger("early")
    log.info("first")
    second = io.StringIO()
    configure_logging("json", "info", second, {})
    log.info("second")
    assert [line["event"] for line in records(stream)] == ["first"]
    assert [line["event"] for line in records(second)] == ["second"]

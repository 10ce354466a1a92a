"""docs/reference/logs.md has every event of the code with its levels, and no other event."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import contactsync
from contactsync.log.config import LIBRARY_EVENTS

CATALOGUE = Path(__file__).parents[3] / "docs" / "reference" / "logs.md"
SOURCES = [path for path in Path(str(files(contactsync))).rglob("*.py") if "demo" not in path.parts]

LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
LOGGERS = {"log", "_log", "log_of"}
ROW = re.compile(r"^\| `(?P<event>[^`]+)` \| (?P<levels>[a-z, ]+) \| (?P<rest>.+) \|$", re.MULTILINE)


def calls(tree: ast.AST) -> Iterator[tuple[str, list[ast.expr]]]:
    """The method and the arguments of every call of a logger."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            logger = node.func.value.func if isinstance(node.func.value, ast.Call) else node.func.value
            if isinstance(logger, ast.Name) and logger.id in LOGGERS and node.func.attr in {*LEVELS, "log"}:
                yield node.func.attr, node.args


def emitted() -> dict[str, set[str]]:
    """The levels of every event in the code; `log` is a level that is decided at run time."""
    levels: dict[str, set[str]] = defaultdict(set, {event: {"log"} for event in LIBRARY_EVENTS.values()})
    for path in SOURCES:
        for method, arguments in calls(ast.parse(path.read_text(encoding="utf-8"))):
            event = arguments[1 if method == "log" else 0]
            assert isinstance(event, ast.Constant), (
                f"{path}:{event.lineno}: an event's name is written where it is logged"
            )
            levels[str(event.value)].add(LEVELS.get(method, "log"))
    return dict(levels)


def described() -> dict[str, set[str]]:
    """The levels of every event in docs/reference/logs.md."""
    rows = list(ROW.finditer(CATALOGUE.read_text(encoding="utf-8")))
    assert len({row["event"] for row in rows}) == len(rows), "an event is described twice"
    return {row["event"]: set(row["levels"].split(", ")) for row in rows}


def test_the_catalogue_has_every_event_and_no_other() -> None:
    """An event that is added, renamed or removed must be edited in docs/reference/logs.md too."""
    assert sorted(emitted()) == sorted(described())


def test_the_catalogue_has_the_levels_of_the_code() -> None:
    """An event with a variable level lists all its levels."""
    catalogue = described()
    for event, levels in emitted().items():
        if levels == {"log"}:
            assert len(catalogue[event]) > 1, event
        else:
            assert catalogue[event] == levels, event


def test_names_have_one_form() -> None:
    """The name has a subject, a dot and what happened: `run.finished`."""
    assert [event for event in emitted() if not re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", event)] == []


def test_every_logger_has_a_known_name() -> None:
    """The tests above find only loggers with these names."""
    for path in SOURCES:
        for line in re.findall(r"^(\w+)\b.*= structlog\.get_logger\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert line in LOGGERS, path

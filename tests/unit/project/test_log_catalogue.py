"""docs/logs.md and the code say the same: every event with its levels, and none that does not exist."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import contactsync

CATALOGUE = Path(__file__).parents[3] / "docs" / "logs.md"
SOURCES = [path for path in Path(str(files(contactsync))).rglob("*.py") if "demo" not in path.parts]

LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
LOGGERS = {"log", "_log", "_log_of"}
ROW = re.compile(r"^\| `(?P<event>[^`]+)` \| (?P<levels>[a-z, ]+) \| (?P<rest>.+) \|$", re.MULTILINE)


def calls(tree: ast.AST) -> Iterator[tuple[str, list[ast.expr]]]:
    """The method and the arguments of every call of a logger."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            logger = node.func.value.func if isinstance(node.func.value, ast.Call) else node.func.value
            if isinstance(logger, ast.Name) and logger.id in LOGGERS and node.func.attr in {*LEVELS, "log"}:
                yield node.func.attr, node.args


def emitted() -> dict[str, set[str]]:
    """The levels of every event in the code; `log` stands for one that is decided at run time."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in SOURCES:
        for method, arguments in calls(ast.parse(path.read_text(encoding="utf-8"))):
            event = arguments[1 if method == "log" else 0]
            assert isinstance(event, ast.Constant), (
                f"{path}:{event.lineno}: an event's name is written where it is logged"
            )
            found[str(event.value)].add(LEVELS.get(method, "log"))
    return dict(found)


def described() -> dict[str, set[str]]:
    """The levels of every event in the catalogue."""
    rows = list(ROW.finditer(CATALOGUE.read_text(encoding="utf-8")))
    assert len({row["event"] for row in rows}) == len(rows), "an event is described twice"
    return {row["event"]: set(row["levels"].split(", ")) for row in rows}


def test_the_catalogue_has_every_event_and_no_other() -> None:
    """An event that is added, renamed or dropped shows up here until docs/logs.md says so."""
    assert sorted(emitted()) == sorted(described())


def test_the_catalogue_has_the_levels_of_the_code() -> None:
    """An event whose level depends on what happened lists all that it can have."""
    catalogue = described()
    for event, levels in emitted().items():
        if levels == {"log"}:
            assert len(catalogue[event]) > 1, event
        else:
            assert catalogue[event] == levels, event


def test_names_have_one_form() -> None:
    """What it is about, a dot, and what happened: `run.finished`."""
    assert [event for event in emitted() if not re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", event)] == []


def test_a_logger_has_a_name_that_is_looked_for() -> None:
    """A module that called its logger something else would be passed over by the tests above."""
    for path in SOURCES:
        for line in re.findall(r"^(\w+)\b.*= structlog\.get_logger\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert line in LOGGERS, path

"""The examples in README.md and docs/ are read by the parsers that they are about, so that they cannot rot."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from contactsync.cli.app import app
from contactsync.errors import QueryError, ScheduleError
from contactsync.fields import FIELDS, Kind
from contactsync.ldap.query.filter import check_filter
from contactsync.ldap.query.query import parse_query
from contactsync.ldap.query.user import parse_user
from contactsync.mapping.entry_filter import DEFAULTS
from contactsync.mapping.mapping import compile_mapping
from contactsync.mapping.presets import ACTIVE_DIRECTORY, INET_ORG_PERSON
from contactsync.mapping.rules import EDITS
from contactsync.mapping.template import Template
from contactsync.schedule import parse_schedule
from contactsync.settings.schema import MappingLimits

ROOT = Path(__file__).parents[3]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*.md")])
}
QUERY = PAGES["docs/query.md"]
MAPPING = PAGES["docs/mapping.md"]

MOST_MODULES = 15
"""In one folder: more of them is a list that nobody reads."""

HOLDS = {Kind.TEXT: "text", Kind.LIST: "list", Kind.PHOTO: "photo"}
LINE_BREAK = "⏎"

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!\w+:)(?P<path>[^)#]*)(?:#(?P<anchor>[^)]*))?\)")


class Call(NamedTuple):
    """A command line in a page; `whole` when it is one to be typed as it stands, and not just a command's name."""

    page: str
    text: str
    whole: bool


def table(page: str, first_column: str) -> list[list[str]]:
    """The rows of the table whose first heading this is."""
    lines = iter(page.splitlines())
    assert any(line.startswith(f"| {first_column} |") for line in lines), f"no table of {first_column}"
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def blocks(language: str) -> list[tuple[str, str]]:
    """Page and text of every block in a language."""
    return [
        (name, block["text"])
        for name, page in PAGES.items()
        for block in FENCE.finditer(page)
        if block["language"] == language
    ]


def code(cell: str) -> str:
    """What a cell holds between backticks; nothing for the word "nothing"."""
    return "" if cell == "nothing" else cell.strip("`")


def calls() -> Iterator[Call]:
    """Every command line of contactsync in any page."""
    for name, page in PAGES.items():
        joined = re.sub(r"\\\n\s*", "", page)
        for line in re.findall(r"^(?:    +|\$ |    \$ )?(contactsync .*)$", joined, re.MULTILINE):
            if not re.match(r"contactsync [a-z]+ [a-z]+ [a-z]+ [a-z]+", line):  # a sentence
                yield Call(name, line, whole=True)
        for span in SPAN.findall(page):
            if span.startswith("contactsync "):
                yield Call(name, span, whole=False)


def words_of(text: str) -> list[str]:
    """The arguments of a command line up to a pipe, a redirection or a comment."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|<>;")
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if set(word) <= set("|<>;"):
            break
        words.append(word)
    return words[1:]


def parse(words: list[str], *, whole: bool) -> None:
    """Let typer read a command line without carrying it out; raises what it finds wrong."""
    command: Any = typer.main.get_command(app)
    name = "contactsync"
    while True:
        try:
            context = command.make_context(name, list(words))
        except typer.Exit:  # --help has been shown
            return
        except typer.TyperException as error:
            if not whole and type(error).__name__ in {"MissingParameter", "NoArgsIsHelpError"}:
                return
            raise
        if not hasattr(command, "resolve_command"):
            return
        rest = [*context._protected_args, *context.args]  # noqa: SLF001
        if not rest:
            return
        name, command, words = command.resolve_command(context, rest)


@pytest.mark.parametrize("row", table(QUERY, "query"), ids=lambda row: row[0])
def test_each_query_is_read_as_the_page_says(row: list[str]) -> None:
    """The second column is the canonical form of the first."""
    assert str(parse_query(code(row[0]))) == code(row[1])


@pytest.mark.parametrize("row", table(QUERY, "refused"), ids=lambda row: row[0])
def test_each_refused_query_is_refused(row: list[str]) -> None:
    """What the page calls refused is not understood."""
    with pytest.raises(QueryError):
        parse_query(code(row[0]))


@pytest.mark.parametrize("row", table(QUERY, "user"), ids=lambda row: row[0])
def test_each_user_is_understood(row: list[str]) -> None:
    """The forms of the user field are read, and sent as they are."""
    user = parse_user(code(row[0]))
    assert user is not None
    assert user.text == code(row[0])


@pytest.mark.parametrize("row", table(QUERY, "schedule"), ids=lambda row: row[0])
def test_each_schedule_is_understood(row: list[str]) -> None:
    """The schedules of the page are read, also those that its second column names."""
    words = [code(row[0]), *re.findall(r"@[a-z]+", row[1])]
    assert [word for word in words if parse_schedule(word, "UTC", 0) is None] == ([] if words != ["manual"] else words)


@pytest.mark.parametrize("row", table(QUERY, "not a schedule"), ids=lambda row: row[0])
def test_each_bad_schedule_is_refused(row: list[str]) -> None:
    """What the page calls no schedule is none."""
    with pytest.raises(ScheduleError):
        parse_schedule(code(row[0]), "UTC", 0)


@pytest.mark.parametrize(("page", "text"), blocks("json"))
@pytest.mark.parametrize("active_directory", [False, True])
def test_each_mapping_compiles(page: str, text: str, *, active_directory: bool) -> None:
    """The JSON in the pages is a mapping, for every kind of server."""
    mapping = compile_mapping(json.loads(text), active_directory=active_directory, limits=MappingLimits())
    assert set(json.loads(text)["fields"]) & set(mapping.fields), page


@pytest.mark.parametrize(("page", "text"), blocks("ldap"))
def test_each_filter_is_well_formed(page: str, text: str) -> None:
    """The filters in the pages pass as they are."""
    assert check_filter(text) == text.strip(), page


def test_the_presets_are_those_of_the_code() -> None:
    """The table of fields has every field of a contact with its sources, in the code's order."""
    fields = [
        [
            f"`{name}`",
            HOLDS[kind],
            sources(INET_ORG_PERSON.fields.get(name)),
            sources(ACTIVE_DIRECTORY.fields.get(name)),
        ]
        for name, kind in FIELDS.items()
    ]
    assert table(MAPPING, "field") == [*fields, ["`extra.NAME`", "text", "-", "-"]]


def sources(written: Any) -> str:
    """The sources of a field as the table shows them."""
    if written is None:
        return "-"
    listed = written if isinstance(written, list) else [written]
    return ", ".join(
        f"`{source}`" if isinstance(source, str) else f"`{source['attribute']}` as {source['as']}" for source in listed
    )


def test_the_filters_of_the_presets_are_those_of_the_code() -> None:
    """The page shows both, whole."""
    shown = [text.strip() for page, text in blocks("ldap") if page == "docs/mapping.md"]
    assert shown == [str(INET_ORG_PERSON.filter), str(ACTIVE_DIRECTORY.filter)]


@pytest.mark.parametrize("row", table(MAPPING, "template"), ids=lambda row: f"{row[0]} {row[1]}")
def test_each_template_gives_the_text(row: list[str]) -> None:
    """A template with the values of the second column gives the third."""
    values = dict(pair.split("=") for pair in row[1].split(", ") if pair)
    assert Template(code(row[0])).render(lambda attribute: values.get(attribute, "")) == code(row[2])


@pytest.mark.parametrize("row", table(MAPPING, "as"), ids=lambda row: row[1])
def test_each_as_turns_the_value(row: list[str]) -> None:
    """`as` makes the third column of the second."""
    assert EDITS[code(row[0])](code(row[1])) == code(row[2]).replace(LINE_BREAK, "\n")


def test_every_switch_is_described_as_it_stands_by_itself() -> None:
    """What `include` may say, and what holds where nothing is said."""
    rows = {code(row[0]): code(row[1]) == "true" for row in table(MAPPING, "include")}
    assert rows == DEFAULTS


def test_every_as_is_described() -> None:
    """The page leaves none out."""
    assert {code(row[0]) for row in table(MAPPING, "as")} == set(EDITS)


@pytest.mark.parametrize("call", list(calls()), ids=lambda call: f"{call.page}: {call.text}")
def test_every_command_exists(call: Call) -> None:
    """Each command line of contactsync in the pages has commands, options and arguments that typer takes."""
    parse(words_of(call.text), whole=call.whole)


def test_a_command_that_does_not_exist_is_found() -> None:
    """The test above would notice a wrong command, a wrong option and a missing argument."""
    for wrong in ("contactsync synk Staff", "contactsync sync Staff --now", "contactsync approve"):
        with pytest.raises(typer.TyperException):
            parse(words_of(wrong), whole=True)


def test_the_code_map_has_every_folder() -> None:
    """CONTRIBUTING.md names every folder and module at the top of the package, and none that is gone."""
    package = ROOT / "daemon" / "contactsync"
    shown = [name.rstrip("/") for row in table(PAGES["CONTRIBUTING.md"], "where") for name in SPAN.findall(row[0])]
    assert sorted(shown) == sorted(path.name for path in package.iterdir() if path.name[0] not in "_.")


def test_every_folder_says_what_lives_there() -> None:
    """Each folder of the package has a docstring in its `__init__.py`, and at most fifteen modules."""
    package = ROOT / "daemon" / "contactsync"
    for init in package.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), init
        modules = [path.name for path in init.parent.glob("*.py") if path.name[0] != "_"]
        assert init.parent == package or len(modules) <= MOST_MODULES, (init.parent, len(modules))


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    """Links between the pages name files that exist and headings that they have."""
    for link in LINK.finditer(PAGES[page]):
        target = (ROOT / page).parent / link["path"] if link["path"] else ROOT / page
        assert target.exists(), link[0]
        if link["anchor"]:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert link["anchor"] in anchors, link[0]

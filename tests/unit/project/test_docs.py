"""The parsers read the examples in README.md and docs/, and the pages keep the rules of prose."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from contactsync.cli.app import app
from contactsync.credentials.references import References
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
from contactsync.model import Definition
from contactsync.operations.declared.file import parse_file
from contactsync.operations.fields import require_valid_fields
from contactsync.schedule import parse_schedule
from contactsync.settings.schema import MappingLimits
from tools.reference.pages import pages

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "daemon" / "contactsync"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
}
QUERY = PAGES["docs/reference/query.md"]
MAPPING = PAGES["docs/reference/mapping.md"]

MEASURED = "docs/explanation/performance/"
"""Pages that `make bench` writes."""
MADE = [str(path.relative_to(ROOT)) for path in pages()]
"""Pages that `make man` writes from the code."""
MOST_MODULES = 15
"""In one folder."""
MOST_WORDS = 30
"""In one sentence."""
MOST_ROWS = 20
"""In the map of the code, and in the import contract."""
UNCLEAR = re.compile(
    r"\b(mends?|makes? no sense|does not hold|is shown by|in step with|lets? us in|is told|tells of|stands for"
    r"|knocks?)\b",
    re.IGNORECASE,
)
"""Words that a reader with English as a second language does not get at first sight."""
TOP_MODULES = {"__init__", "__main__", "bootstrap", "errors", "fields", "model", "text"}

HOLDS = {Kind.TEXT: "text", Kind.LIST: "list", Kind.PHOTO: "photo"}
LINE_BREAK = "⏎"

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!\w+:)(?P<path>[^)#]*)(?:#(?P<anchor>[^)]*))?\)")
INDENTED = re.compile(r"^ {4}.*$", re.MULTILINE)
PARAGRAPH_END = re.compile(r"\n\s*\n|\n\s*(?:[-*#]+|\d+\.)\s|\||\n```")
SENTENCE_END = re.compile(r"(?<=[.!?:])[)*]*\s+(?=[\[(*]*[A-Z])")
PATH = re.compile(r"\w[\w.-]*/(?:[\w.*-]+/?)*|\w+\.(?:py|md|toml|lock)")


class Call(NamedTuple):
    """A command line in a page; `whole` if it can be typed unchanged, and is not just a command's name."""

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
    """The text between backticks; empty for the word "nothing"."""
    return "" if cell == "nothing" else cell.strip("`")


def calls() -> Iterator[Call]:
    """Every command line of contactsync in any page."""
    for name, page in PAGES.items():
        joined = re.sub(r"\\\n\s*", "", page)
        for line in re.findall(r"^(?:    +|\$ |    \$ )?(contactsync .*)$", joined, re.MULTILINE):
            if not re.match(r"contactsync [a-z]+ [a-z]+ [a-z]+ [a-z]+", line):  # a sentence
                yield Call(name, line, whole=True)
        for span in SPAN.findall(page):
            if span.startswith("contactsync ") and "[OPTIONS]" not in span:
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
    """Let typer parse a command line without running it; raises typer's error."""
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


def sentences(page: str) -> Iterable[str]:
    """The sentences of a page without its code blocks; a code span is one word."""
    prose = INDENTED.sub("", FENCE.sub("\n\n", page))
    prose = LINK.sub("]", SPAN.sub("CODE", prose))
    return (part for paragraph in PARAGRAPH_END.split(prose) for part in SENTENCE_END.split(paragraph))


def long_sentences(text: str) -> list[str]:
    """The sentences with too many words."""
    return [sentence for sentence in sentences(text) if len(re.findall(r"\w\S*", sentence)) > MOST_WORDS]


@pytest.mark.parametrize("row", table(QUERY, "query"), ids=lambda row: row[0])
def test_each_query_has_the_canonical_form_of_the_page(row: list[str]) -> None:
    """The second column is the canonical form of the first."""
    assert str(parse_query(code(row[0]))) == code(row[1])


@pytest.mark.parametrize("row", table(QUERY, "refused"), ids=lambda row: row[0])
def test_each_refused_query_is_refused(row: list[str]) -> None:
    """The parser refuses what the page calls refused."""
    with pytest.raises(QueryError):
        parse_query(code(row[0]))


@pytest.mark.parametrize("row", table(QUERY, "user"), ids=lambda row: row[0])
def test_each_user_is_accepted(row: list[str]) -> None:
    """The forms of the user are accepted and sent unchanged."""
    assert parse_user(code(row[0])) == code(row[0])


@pytest.mark.parametrize("row", table(QUERY, "schedule"), ids=lambda row: row[0])
def test_each_schedule_is_accepted(row: list[str]) -> None:
    """The schedules of the page are accepted, also those in the second column."""
    words = [code(row[0]), *re.findall(r"@[a-z]+", row[1])]
    assert [word for word in words if parse_schedule(word, "UTC", 0) is None] == ([] if words != ["manual"] else words)


@pytest.mark.parametrize("row", table(QUERY, "not a schedule"), ids=lambda row: row[0])
def test_each_bad_schedule_is_refused(row: list[str]) -> None:
    """The parser refuses what the page calls no schedule."""
    with pytest.raises(ScheduleError):
        parse_schedule(code(row[0]), "UTC", 0)


@pytest.mark.parametrize(("page", "text"), blocks("json"))
@pytest.mark.parametrize("active_directory", [False, True])
def test_each_mapping_compiles(page: str, text: str, *, active_directory: bool) -> None:
    """The JSON in the pages is a mapping, for every kind of server."""
    mapping = compile_mapping(json.loads(text), active_directory=active_directory, limits=MappingLimits())
    assert set(json.loads(text)["fields"]) & set(mapping.fields), page


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_each_file_of_definitions_is_accepted(page: str, text: str) -> None:
    """The TOML in the pages has fields that exist, and their values are valid."""
    for definition in parse_file(text, page).definitions:
        plain = Definition(folder_id=0, definition_id=0, folder=definition.folder)
        require_valid_fields(definition.applied_to(plain), References(("env:*",)))


@pytest.mark.parametrize(("page", "text"), blocks("ldap"))
def test_each_filter_is_well_formed(page: str, text: str) -> None:
    """The filters in the pages are accepted unchanged."""
    assert check_filter(text) == text.strip(), page


def test_the_presets_are_those_of_the_code() -> None:
    """The table of fields has every field of a contact with its sources, in the code's order."""
    fields = [
        [
            f"`{name}`",
            HOLDS[kind],
            *(sources(preset.fields.get(name)) for preset in (INET_ORG_PERSON, ACTIVE_DIRECTORY)),
        ]
        for name, kind in FIELDS.items()
    ]
    assert table(MAPPING, "field") == [*fields, ["`extra.NAME`", "text", "-", "-"]]


def sources(written: Any) -> str:
    """The sources of a field in the form of the table."""
    if written is None:
        return "-"
    listed = written if isinstance(written, list) else [written]
    return ", ".join(
        f"`{source}`" if isinstance(source, str) else f"`{source['attribute']}` as {source['as']}" for source in listed
    )


def test_the_filters_of_the_presets_are_those_of_the_code() -> None:
    """The page has both filters in full."""
    shown = [text.strip() for page, text in blocks("ldap") if page == "docs/reference/mapping.md"]
    assert shown == [str(INET_ORG_PERSON.filter), str(ACTIVE_DIRECTORY.filter)]


@pytest.mark.parametrize("row", table(MAPPING, "template"), ids=lambda row: f"{row[0]} {row[1]}")
def test_each_template_gives_the_text(row: list[str]) -> None:
    """A template with the values of the second column gives the third."""
    values = dict(pair.split("=") for pair in row[1].split(", ") if pair)
    assert Template(code(row[0])).render(lambda attribute: values.get(attribute, "")) == code(row[2])


@pytest.mark.parametrize("row", table(MAPPING, "as"), ids=lambda row: row[1])
def test_each_as_turns_the_value(row: list[str]) -> None:
    """`as` turns the second column into the third."""
    assert EDITS[code(row[0])](code(row[1])) == code(row[2]).replace(LINE_BREAK, "\n")


def test_the_keys_of_include_and_as_are_complete() -> None:
    """The page has every switch of `include` with its default, and every value of `as`."""
    assert {code(row[0]): code(row[1]) == "true" for row in table(MAPPING, "include")} == DEFAULTS
    assert {code(row[0]) for row in table(MAPPING, "as")} == set(EDITS)


@pytest.mark.parametrize("call", list(calls()), ids=lambda call: f"{call.page}: {call.text}")
def test_every_command_exists(call: Call) -> None:
    """Typer accepts the commands, options and arguments of each command line in the pages."""
    parse(words_of(call.text), whole=call.whole)


def test_a_command_that_does_not_exist_is_found() -> None:
    """The test above notices a wrong command, a wrong option and a missing argument."""
    for wrong in ("contactsync synk Staff", "contactsync sync Staff --now", "contactsync approve"):
        with pytest.raises(typer.TyperException):
            parse(words_of(wrong), whole=True)


def test_the_code_map_has_every_folder() -> None:
    """CONTRIBUTING.md names every folder and module at the top of the package, and no other."""
    shown = [name.rstrip("/") for row in table(PAGES["CONTRIBUTING.md"], "where") for name in SPAN.findall(row[0])]
    assert sorted(shown) == sorted(
        path.name for path in PACKAGE.iterdir() if path.name[0] not in "_." and path.name != "py.typed"
    )


def test_every_file_that_contributing_names_exists() -> None:
    """A name is the path of a file or folder, or the end of one."""
    folders = [ROOT / name for name in ("bench", "daemon", "deploy", "docs", "tests", "tools")]
    paths = [*ROOT.glob("*"), *(path for folder in folders for path in folder.rglob("*"))]
    named = [name.rstrip("/") for name in SPAN.findall(PAGES["CONTRIBUTING.md"].replace("NNNN.name", "0001*"))]
    named = [name for name in named if PATH.fullmatch(name)]
    assert named
    assert [name for name in named if not any(path.match(name) for path in paths)] == []


def test_the_top_of_the_package_has_few_modules() -> None:
    """Everything else is in a folder."""
    assert {path.stem for path in PACKAGE.glob("*.py")} == TOP_MODULES


def test_every_folder_says_what_lives_there() -> None:
    """Each `__init__.py` says what lives in its folder and what does not; a folder has at most fifteen modules."""
    for init in PACKAGE.glob("*/**/__init__.py"):
        says = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
        assert len(re.findall(r"\.\s", f"{says}\n")) >= 2, init
        modules = [path.name for path in init.parent.glob("*.py") if path.name[0] != "_"]
        assert len(modules) <= MOST_MODULES, (init.parent, len(modules))


def test_the_code_fits_on_one_page() -> None:
    """The map has few rows, and the import contract few layers."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    assert len(table(PAGES["CONTRIBUTING.md"], "where")) <= MOST_ROWS
    assert len(contract[0]["layers"]) <= MOST_ROWS


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


@pytest.mark.parametrize("page", [name for name in PAGES if not name.startswith((MEASURED, *MADE))])
def test_no_sentence_is_long(page: str) -> None:
    """A sentence has at most thirty words."""
    assert long_sentences(PAGES[page]) == []


def test_no_sentence_of_a_docstring_is_long() -> None:
    """The same for the package; what is indented is an example."""
    for path in PACKAGE.rglob("*.py"):
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, documented)]
        assert [long for node in nodes for long in long_sentences(ast.get_docstring(node) or "")] == [], path


def test_no_text_has_an_unclear_word() -> None:
    """Neither pages nor code; a migration stays as it is."""
    code = [
        path
        for suffix in ("py", "sql", "j2")
        for path in PACKAGE.rglob(f"*.{suffix}")
        if "migrations" not in path.parts
    ]
    texts = PAGES | {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in code}
    found = {(name, match[0]) for name, text in texts.items() for match in UNCLEAR.finditer(text)}
    assert found == set()

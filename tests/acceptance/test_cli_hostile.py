"""Hostile text on the command line: escape sequences in stored values, and octets that are not UTF-8."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.types.json import Jsonb

from contactsync.store.definitions import add_definition, add_folder
from tests.support.definitions import Person
from tests.support.processes import CommandLine, assert_refused
from tests.support.waiting import PATIENCE


def test_no_output_steers_the_terminal(cli: CommandLine, person: Person) -> None:
    """Escape sequences are printed as text: in a field, in a change and its keys, and in JSON documents."""
    hostile = "x\x1b]0;owned\x07\x9b31m\u202ey"
    folder_id = add_folder(person, "Staff", None)
    add_definition(person, folder_id, {"query": f"dc1{hostile}"})
    person.execute(
        "INSERT INTO contactsync.sync_runs (folder_id, definition_id, definition, trigger, outcome, finished_at)"
        " SELECT folder_id, definition_id, 'Staff', 'manual', 'changed', now() FROM contactsync.sync_definitions"
    )
    change = Jsonb({"extra": [{hostile: "a"}, {hostile: hostile}], "notes": [hostile, hostile * 9]})
    person.execute(
        "INSERT INTO contactsync.contact_changes SELECT %s, run_id, 1, 'update', %s, %s FROM contactsync.sync_runs",
        [folder_id, hostile, change],
    )
    run = (person.execute("SELECT run_id FROM contactsync.sync_runs").fetchone() or [0])[0]
    for command in (("folders", "show", "Staff"), ("runs", "show", str(run)), ("runs", "show", str(run), "--json")):
        for shown in (cli.in_terminal(*command)[1], cli(*command).stdout):
            assert "owned" in shown
            assert not re.search("\x1b[^[]|\x1b\\[31m|[\x07\x9b\u202e]", shown)


@pytest.mark.parametrize(
    "arguments", [("explain", "Staff"), ("history", "Staff"), ("folders", "add", "X", "--query", "dc1", "--ca-file")]
)
def test_an_argument_that_is_not_utf_8_is_refused(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    """A terminal with another encoding sends such arguments."""
    assert_refused(cli(*arguments, "M\udcfcller"), 64, '"M\\xdcfcller" is not text in UTF-8.')


@pytest.mark.parametrize("option", ["--password-stdin", "--mapping=-"])
def test_standard_input_that_is_not_utf_8_is_refused(cli: CommandLine, option: str) -> None:
    """The message does not repeat the input, which may be a password."""
    cli.environ["PYTHONIOENCODING"] = "utf-8:strict"
    arguments = ("folders", "add", "X", "--query", "dc1", "--user", "a@b", option)
    process = cli.start(*arguments, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert isinstance(process.stdin, io.TextIOWrapper)
    process.stdin.buffer.write(b"hunter\xff\n")
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, "not text in UTF-8" in errors) == (64, True)
    assert "hunter" not in errors


def test_output_that_cannot_be_written_is_an_error(cli: CommandLine) -> None:
    """A full disk gives a sentence, for printed tables, JSON and help."""
    for arguments in (("folders", "list"), ("status", "--json"), ("--help",)):
        with Path("/dev/full").open("w", encoding="utf-8") as full:
            process = cli.start(*arguments, stdout=full, stderr=subprocess.PIPE)
            _, errors = process.communicate(timeout=30)
        assert (process.returncode, "The output cannot be written: No space left on device." in errors) == (1, True)
        assert "Traceback" not in errors


def test_closed_standard_streams_do_not_matter(cli: CommandLine) -> None:
    """Some service managers start programs so; a socket must not take the descriptor of standard error."""
    cli("migrate")
    words = [sys.executable, "-m", "contactsync", "folders", "list"]
    for closing in ("2>&-", "<&- 2>&-", "<&- >&- 2>&-"):
        process = subprocess.run(
            ["sh", "-c", f'"$@" {closing}', "sh", *words], env=cli.environ, timeout=30, check=False
        )
        assert process.returncode == 0

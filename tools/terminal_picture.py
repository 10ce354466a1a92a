"""Makes docs/images/terminal.svg: a real session of the command line on a real directory, drawn by rich.

Run it as `.venv/bin/python tools/terminal_picture.py`. It starts private servers, as `make demo` does.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from contactsync.cli.app import app
from contactsync.cli.context import Invocation
from contactsync.testing.company import Company, administered
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "terminal.svg"
PEOPLE = 120
WIDTH = 100
PASSWORD = "LDAP_PASSWORD"  # noqa: S105 -- the name of the environment variable that the definition refers to
DARK = TerminalTheme(
    (28, 30, 36), (220, 222, 226),
    [
        (28, 30, 36), (224, 108, 117), (126, 188, 110), (222, 178, 98),
        (97, 160, 230), (190, 120, 210), (86, 182, 194), (200, 202, 206),
    ],
)  # fmt: skip


class Terminal:
    """A terminal that records its output."""

    def __init__(self) -> None:
        # stdout and stderr of the commands share one console, as on a screen.
        self.console = Console(
            record=True, width=WIDTH, height=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor",
            legacy_windows=False, markup=False, emoji=False, highlight=False,
        )  # fmt: skip

    def run(self, line: str) -> None:
        """Show a prompt with a command line, and the output of the command."""
        prompt = Text("$ ", style="bold green").append(f"contactsync {line}", style="bold")
        self.console.print(prompt)
        self.quietly(line, self.console)
        self.console.print()

    def quietly(self, line: str, console: Console | None = None) -> None:
        """Run a command line, with its output on `console` or nowhere."""
        hidden = Console(file=io.StringIO())
        invocation = Invocation()
        invocation.out, invocation.err = console or hidden, hidden
        app(shlex.split(line), prog_name="contactsync", standalone_mode=False, obj=invocation)


def main() -> None:
    """Start a directory, fill folders from it, change two people, and draw the output of the commands."""
    with tempfile.TemporaryDirectory(prefix="contactsync-picture-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        home.chmod(0o711)  # root's PostgreSQL runs as another account, which must be able to traverse it
        os.environ |= {"CONTACTSYNC_STATE__DIRECTORY": str(home / "state"), "CONTACTSYNC_SETTINGS": os.devnull}
        os.environ["TERM"] = "dumb"  # no progress display
        with PrivateSlapd(home / "slapd", ldif=people_ldif(PEOPLE)) as slapd, administered(slapd) as company:
            terminal = Terminal()
            tell(terminal, slapd, company)
            drawn = terminal.console.export_svg(title="contactsync", theme=DARK, unique_id="contactsync")
            # A picture in a README loads nothing from elsewhere: it uses the reader's fixed-width font.
            drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
            PICTURE.write_text(drawn, encoding="utf-8")


def tell(terminal: Terminal, slapd: PrivateSlapd, company: Company) -> None:
    """Run the commands of the picture."""
    os.environ[PASSWORD] = slapd.reader_password
    source = f"--query {slapd.tls_url} --user {slapd.reader_dn} --password-ref env:{PASSWORD} --ca-file {slapd.ca_file}"
    terminal.quietly(f"folders add Staff {source}")
    terminal.quietly(
        f"folders add Sales --owner anna {source} --filter '(ou=Sales)' --schedule '*/10 8-18 * * mon-fri'"
    )
    terminal.quietly("sync Staff")
    terminal.quietly("sync anna/Sales")
    promoted, leaver = [entry for entry in company.people() if entry.name.isascii() and entry.has("title", "mobile")][
        :2
    ]
    company.edit(promoted, {"title": ["Head of Sales"], "telephoneNumber": ["+49 30 5550 4711"]})
    company.delete(leaver)
    terminal.run("check Staff")
    terminal.run("preview Staff")
    with daemon():
        terminal.run("sync Staff")
        terminal.run("folders list")


@contextmanager
def daemon() -> Iterator[None]:
    """Run a daemon that is ready."""
    process = subprocess.Popen([Path(sys.executable).with_name("contactsync"), "daemon"], stderr=subprocess.PIPE)
    assert process.stderr is not None  # noqa: S101 -- for mypy
    try:
        while b'"daemon.started"' not in process.stderr.readline():
            pass
        yield
    finally:
        process.terminate()
        process.communicate()


if __name__ == "__main__":
    main()

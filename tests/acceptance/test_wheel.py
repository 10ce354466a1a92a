"""The wheel and the sdist: built twice, and used in an environment with nothing but what the wheel asks for."""

from __future__ import annotations

import getpass
import json
import os
import re
import subprocess
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from contactsync import __version__
from contactsync.settings.extras import EXTRAS
from contactsync.testing.ports import LOOPBACK, ReservedPort
from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import PEOPLE
from tests.support.environments import PYTHONS, Environment
from tests.support.processes import DaemonProcess
from tests.support.resources import database_of
from tests.support.waiting import PATIENCE
from tools.dist import build

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "daemon" / "contactsync"
WHEEL = f"contactsync-{__version__}-py3-none-any.whl"
SDIST = f"contactsync-{__version__}.tar.gz"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both from the clone."""
    directory = tmp_path_factory.mktemp("dist")
    build(ROOT, directory)
    return directory


@pytest.fixture(scope="module", params=PYTHONS)
def environment(built: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Environment:
    """Install the wheel without extras, on each Python that is set up."""
    return Environment(tmp_path_factory.mktemp("installed") / "venv", built / WHEEL, request.param)


class Installed:
    """The commands of an environment, with a database and directories of their own."""

    def __init__(self, environment: Environment, process: DaemonProcess, directory: Path) -> None:
        self.environment = environment
        self.process = process
        self._directory = directory

    def __call__(self, *arguments: str, typed: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command far from the source."""
        return subprocess.run(
            [self.environment.program, *arguments],
            input=typed,
            env=self.process.environ | environ,
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=False,
        )

    def ok(self, *arguments: str, typed: str = "") -> str:
        """Run a command that must succeed, and give its output."""
        done = self(*arguments, typed=typed)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run a command with --json and give its document."""
        return json.loads(self.ok(*arguments, "--json"))


@pytest.fixture
def installed(
    environment: Environment, postgres_server: str, make_daemon: Callable[..., DaemonProcess], tmp_path: Path
) -> Iterator[Installed]:
    """Use an empty database without the schema."""
    with database_of(postgres_server) as database:
        yield Installed(environment, make_daemon(database), tmp_path)


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return sha256(path.read_bytes()).hexdigest()


def test_both_are_reproducible(built: Path, tmp_path: Path) -> None:
    """The sdist alone gives the same octets, under another path, with other times and permissions."""
    with tarfile.open(built / SDIST) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = tmp_path.iterdir()
    (source / "README.md").chmod(0o600)
    os.utime(source / "README.md", (1, 1))
    build(source, tmp_path / "again")
    assert {path.name: digest(path) for path in (tmp_path / "again").iterdir()} == {
        name: digest(built / name) for name in (WHEEL, SDIST)
    }


def test_the_wheel_has_all_files_once(built: Path) -> None:
    """Those of the package in a clone, with those for administrators by its links; man pages also where man looks."""
    with zipfile.ZipFile(built / WHEEL) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    places = os.walk(PACKAGE, followlinks=True)
    files = [Path(place, name).relative_to(PACKAGE.parent) for place, _, found in places for name in found]
    data = Path(f"contactsync-{__version__}.data", "data", "share", "man", "man1")
    pages = [str(data / path.name) for path in (PACKAGE / "files" / "man").iterdir()]
    assert sorted(names) == sorted([str(path) for path in files if path.parent.name != "__pycache__"] + pages)


def test_the_extras_are_those_of_the_code() -> None:
    """Each extra has modules by which it is recognised; `c` needs none, because psycopg takes it if it is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["optional-dependencies"].keys() - {"c"} == EXTRAS.keys()


def test_a_folder_and_the_console_from_the_wheel(
    installed: Installed, make_daemon: Callable[..., DaemonProcess], directory: PrivateSlapd, tmp_path: Path
) -> None:
    """With only what it asks for, the wheel migrates a database, keeps a folder in sync and shows its state.

    With the extra of the console it serves pages with their templates, translations and static files.
    """
    port, program, daemon = ReservedPort(), str(installed.environment.program), installed.process
    web = {"ENABLED": "true", "USER": getpass.getuser(), "GROUP": "", "LISTEN": f"{LOOPBACK}:{port.number}"}
    daemon.environ |= {f"CONTACTSYNC_WEB__{name}": value for name, value in web.items()}
    daemon.start(program, "daemon")
    user = ("--user", directory.reader_dn, "--tls", "none", "--password-stdin")
    added = ("folders", "add", "Staff", "--query", directory.url)
    installed.ok(*added, *user, "--schedule", "manual", typed=directory.reader_password)
    assert f"{PEOPLE} added" in installed.ok("sync", "Staff")
    assert installed.json("status")["daemon_running"] is True
    packages = installed.environment.path_of_extra("web", tmp_path / "web")
    console = make_daemon("", PYTHONPATH=packages, CONTACTSYNC_WEB__SOCKET=f"{daemon.state}/web.sock")
    console.environ["CONTACTSYNC_WEB__LISTEN"] = web["LISTEN"]
    console.launch(program, "web")
    console.wait_for_event("web.listening")
    with httpx.Client(base_url=f"http://{web['LISTEN']}", timeout=PATIENCE) as client:
        page = client.get("/sign-in", headers={"Accept-Language": "de"})
        [style] = re.findall(r'href="(/[^"]*\.css[^"]*)"', page.text)
        assert (page.status_code, client.get(style).status_code) == (200, 200)
        assert 'lang="de"' in page.text
    assert console.stop() == daemon.stop() == 0


def test_what_needs_no_database(installed: Installed) -> None:
    """The version, the settings, the module and the files are found without the source."""
    assert installed.ok("--version") == f"contactsync {__version__}\n"
    module = [str(installed.environment.python), "-m", "contactsync", "--version"]
    assert subprocess.run(module, capture_output=True, text=True, check=True).stdout == installed.ok("--version")
    assert installed.ok("settings") == (ROOT / "settings.toml").read_text(encoding="utf-8")
    listed = {file["name"] for file in installed.json("files")["files"]}
    assert {"systemd/contactsync.service", "postgresql/roles.sql", "man/contactsync.1"} <= listed


def test_each_missing_extra_is_one_sentence(installed: Installed, directory: PrivateSlapd) -> None:
    """Its hint has pip's command."""
    query = ("--query", directory.url, "--auth", "kerberos", "--tls", "none")
    for extra, done in {
        "web": installed("web"),
        "fleet": installed("daemon", CONTACTSYNC_FLEET__ENABLED="true"),
        "embedded": installed("migrate", CONTACTSYNC_DATABASE__URL=""),
        "kerberos": installed("check", *query),
    }.items():
        assert done.returncode != 0
        assert f"pip install 'contactsync[{extra}]'" in done.stdout + done.stderr, extra
        assert "Traceback" not in done.stderr, extra

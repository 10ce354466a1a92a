"""The Debian package: built, installed, upgraded, removed and purged by apt in a Debian without systemd."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contactsync import __version__
from contactsync.testing.slapd import PrivateSlapd
from tests.support.debian_root import ARCHIVE, DebianRoot
from tests.support.definitions import PEOPLE
from tests.support.processes import DaemonProcess
from tests.support.resources import short_directory

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can install Debian packages"),
    pytest.mark.skipif(not ARCHIVE.exists(), reason=f"{ARCHIVE} is made by `tools/setup.sh test` on Debian 12"),
]
ROOT = Path(__file__).parents[2]
NEXT = f"{__version__}+next"
SETTINGS, STATE = "/etc/contactsync/settings.toml", "/var/lib/contactsync"
CHANGE = "\n# Changed by the administrator.\n"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Give a directory for large files."""
    with short_directory() as path:
        yield path


@pytest.fixture(scope="module")
def package(place: Path) -> Path:
    """Build it without compression, in a directory that it must not name."""
    environ = os.environ | {"DPKG_DEB_OPTIONS": "-Znone", "TMPDIR": str(place)}
    subprocess.run([ROOT / "tools/deb.sh", __version__, place], env=environ, stdout=subprocess.DEVNULL, check=True)
    [path] = place.glob(f"contactsync_{__version__}_*.deb")
    return path


@pytest.fixture(scope="module")
def next_package(place: Path, package: Path) -> Path:
    """Make the package of the next version, with other settings."""
    tree = place / "next"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace(f"Version: {__version__}", f"Version: {NEXT}"))
    with (tree / SETTINGS[1:]).open("a") as settings:
        settings.write("\n# Of the next version.\n")
    path = place / package.name.replace(__version__, NEXT)
    subprocess.run(["dpkg-deb", "-Znone", "--build", tree, path], stdout=subprocess.DEVNULL, check=True)
    return path


@pytest.fixture(scope="module")
def root(place: Path) -> DebianRoot:
    """Give a Debian 12 without the package."""
    path = place / "root"
    path.mkdir()
    return DebianRoot(path)


def start(root: DebianRoot, daemon: DaemonProcess) -> None:
    """Start the program of the unit as systemd would."""
    unit = (root.path / "lib/systemd/system/contactsync.service").read_text()
    [program] = [line.partition("=")[2] for line in unit.splitlines() if line.startswith("ExecStart=")]
    root.ok("install", "--directory", "--owner=contactsync", "--group=contactsync", "--mode=700", STATE)
    daemon.start(*root.command(*program.split(), user="contactsync"))


def test_another_installation_is_not_touched(root: DebianRoot, package: Path) -> None:
    """The package refuses to be installed beside `make install`, and beside a unit of another installation."""
    before = root.files()
    other = root.path / "usr/local/lib/contactsync"
    other.mkdir()
    done = root.install(package)
    other.rmdir()
    assert done.returncode != 0
    assert '"make install" has installed contactsync in /usr/local. Nothing was changed.' in done.stdout
    unit = root.path / "etc/systemd/system/contactsync.service"
    unit.write_text("[Service]\nExecStart=/opt/contactsync/bin/contactsync daemon\n", encoding="utf-8")
    done = root.install(package)
    unit.unlink()
    assert done.returncode != 0
    assert (
        f"/{unit.relative_to(root.path)} starts another installation of contactsync. Nothing was changed."
        in done.stdout
    )
    assert root.files() == before


def test_from_the_installation_to_the_purge(  # the order is the story
    root: DebianRoot,
    package: Path,
    next_package: Path,
    directory: PrivateSlapd,
    make_daemon: Callable[..., DaemonProcess],
) -> None:
    """A folder is filled by the daemon of the package; an upgrade keeps it and the settings; a purge leaves nothing."""
    before = root.files()
    installed = root.install(package)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    assert root.ok("contactsync", "--version") == f"contactsync {__version__}\n"
    assert f"{SETTINGS} is valid." in root.ok("contactsync", "settings", "check")
    assert root.owner(SETTINGS) == "640 root:contactsync"
    assert root.owner("/etc/contactsync/web.toml") == "640 root:contactsync-web"
    assert root.ok("systemctl", "is-enabled", "contactsync.service", "contactsync.socket") == "enabled\n" * 2
    assert root.run("systemctl", "is-enabled", "contactsync-web.service").stdout == "disabled\n"

    daemon = make_daemon("")
    start(root, daemon)
    user = ("--user", directory.reader_dn, "--tls", "none", "--password-stdin", "--schedule", "manual")
    root.ok("contactsync", "folders", "add", "Staff", "--query", directory.url, *user, typed=directory.reader_password)
    assert f"{PEOPLE} added" in root.ok("contactsync", "sync", "Staff")
    assert daemon.stop() == 0

    with (root.path / SETTINGS[1:]).open("a") as settings:
        settings.write(CHANGE)
    upgraded = root.install(next_package)
    assert upgraded.returncode == 0, upgraded.stdout + upgraded.stderr
    assert root.ok("dpkg-query", "--show", "--showformat=${Version}", "contactsync") == NEXT
    assert root.ok("cat", SETTINGS).endswith(CHANGE)
    assert root.owner(SETTINGS) == "640 root:contactsync"
    start(root, daemon)
    assert f"nothing changed in {PEOPLE} entries" in root.ok("contactsync", "sync", "Staff")
    assert daemon.stop() == 0

    root.ok("apt-get", "remove", "--yes", "contactsync")
    assert root.run("contactsync", "--version").returncode != 0
    assert root.ok("cat", SETTINGS).endswith(CHANGE)
    assert root.owner(STATE) == "700 contactsync:contactsync"
    root.ok("apt-get", "purge", "--yes", "contactsync")
    assert root.files() - before == set()
    assert root.ok("getent", "passwd", "contactsync").endswith(":/usr/sbin/nologin\n")


def test_its_files(package: Path, place: Path) -> None:
    """Man pages, completion, documents are where Debian has them; nothing in them shows where or when it was built."""
    tree = place / "tree"
    subprocess.run(["dpkg-deb", "--extract", package, tree], check=True)
    share = tree / "usr/share"
    for path in (
        "man/man1/contactsync-folders-add.1.gz",
        "bash-completion/completions/contactsync",
        "zsh/vendor-completions/_contactsync",
        "fish/vendor_completions.d/contactsync.fish",
        "contactsync/postgresql/roles.sql",
        "contactsync/monitoring/prometheus-rules.yml",
        "doc/contactsync/README.md",
        "doc/contactsync/changelog.gz",
        "doc/contactsync/copyright",
    ):
        assert (share / path).is_file(), path
    assert subprocess.run(["grep", "--recursive", "--quiet", str(place), tree], check=False).returncode == 1
    times = subprocess.run(["find", tree, "-type", "f", "-printf", "%T@\n"], capture_output=True, check=True).stdout
    assert len(set(times.split())) == 1

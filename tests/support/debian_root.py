"""A Debian 12 without services in a folder, as root's own: packages are installed and programs run in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

ARCHIVE = Path(__file__).parents[2] / ".setup" / "root" / "debian.tar"
_BUSY = ("dev", "proc", "root", "run", "tmp", "var/cache", "var/lib/apt", "var/lib/dpkg", "var/log")
"""What changes with each package, or belongs to the machine."""

_ENTER = 'mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'


class DebianRoot:
    """The files, and the programs that see nothing else. The network is that of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        subprocess.run(["tar", "--extract", "--file", ARCHIVE, "--directory", path], check=True)
        # Without a power failure in mind, and with man pages and documents.
        (path / "etc/dpkg/dpkg.cfg.d/99mmdebstrap").write_text("force-unsafe-io\n", encoding="utf-8")

    def command(self, *arguments: str, user: str = "") -> list[str]:
        """Give the command that runs a program in it, as root or as another user."""
        environ = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        environ |= {"DEBIAN_FRONTEND": "noninteractive", "CONTACTSYNC_LOG__FORMAT": "json"}
        settings = [f"{name}={value}" for name, value in environ.items()]
        become = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"] if user else []
        return ["unshare", "--mount", "env", "-i", *settings, "sh", "-c", _ENTER, str(self.path), *become, *arguments]

    def run(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program in it as root."""
        command = self.command(*arguments)
        return subprocess.run(command, input=typed, capture_output=True, text=True, check=False)

    def ok(self, *arguments: str, typed: str = "") -> str:
        """Run a program that must succeed, and give its output."""
        done = self.run(*arguments, typed=typed)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, package: Path) -> subprocess.CompletedProcess[str]:
        """Install a package as apt does it; changed settings are kept."""
        copy = self.path / "root" / package.name
        if not copy.exists():
            copy.hardlink_to(package)
        return self.run(
            "apt-get", "install", "--yes", "--option=Dpkg::Options::=--force-confold", f"/root/{package.name}"
        )

    def files(self) -> set[str]:
        """The paths of all that is in it, without what each package changes."""
        pruned = [word for place in _BUSY for word in ("-path", f"./{place}", "-prune", "-o")]
        found = ["find", ".", *pruned, "-print"]
        return set(subprocess.run(found, cwd=self.path, capture_output=True, text=True, check=True).stdout.splitlines())

    def owner(self, path: str) -> str:
        """The mode and the owner of a file."""
        return self.ok("stat", "--format=%a %U:%G", path).strip()

"""The container image unpacked, and containers of it: as any user, over a read-only root, with processes of their own.

bwrap isolates them as container engines do. They share the network of this machine, to reach private servers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from tests.support.waiting import PATIENCE, wait_until

WRITABLE = ("/var/lib/contactsync", "/run/contactsync")
SECRETS = "/run/secrets"


class Image:
    """An OCI image in a tar archive, unpacked below `directory`; all digests are compared."""

    def __init__(self, archive: Path, directory: Path) -> None:
        self.root = directory / "root"
        self._layout = directory / "layout"
        self.root.mkdir()
        with tarfile.open(archive) as layout:
            layout.extractall(self._layout, filter="data")
        [self.manifest] = self._document(self._layout / "index.json")["manifests"]
        content = self._document(self._blob(self.manifest))
        described = self._document(self._blob(content["config"]))
        self.labels: dict[str, str] = described["config"]["Labels"]
        self.created: str = described["created"]
        self.config: dict[str, Any] = described["config"]
        for layer in content["layers"]:
            unpack = ["tar", "--extract", "--gzip", "--numeric-owner", "--file", str(self._blob(layer))]
            subprocess.run(unpack, cwd=self.root, check=True)
        # Engines give a new volume the owner and the mode of its folder in the image.
        assert {place: {} for place in WRITABLE} == self.config["Volumes"]

    def _blob(self, descriptor: dict[str, Any]) -> Path:
        kind, _, digest = str(descriptor["digest"]).partition(":")
        blob = self._layout / "blobs" / kind / digest
        assert sha256(blob.read_bytes()).hexdigest() == digest
        return blob

    @staticmethod
    def _document(path: Path) -> Any:
        return json.loads(path.read_text(encoding="utf-8"))


class Container:
    """A container with volumes in `directory`, for as long as it is in a `with` statement. Needs root.

    Containers of one directory share the volumes, as those of a pod do. `secrets` are files in /run/secrets.
    """

    def __init__(self, image: Image, directory: Path, *command: str, user: int, **environ: str) -> None:
        self._image = image
        self._user = user
        self._log = directory / f"{'-'.join(command) or 'daemon'}.log"
        volumes = [directory / Path(place).parts[1] for place in WRITABLE]
        for volume, place in zip(volumes, WRITABLE, strict=True):
            if not volume.exists():
                there = (image.root / place[1:]).stat()
                volume.mkdir()
                os.chown(volume, there.st_uid, there.st_gid)
                volume.chmod(there.st_mode & 0o7777)
        secrets = directory / "secrets"
        secrets.mkdir(exist_ok=True)
        binds = [("--bind", volume, place) for volume, place in zip(volumes, WRITABLE, strict=True)]
        given = dict(entry.split("=", 1) for entry in image.config["Env"]) | environ
        isolated = "--unshare-pid --unshare-ipc --unshare-uts --as-pid-1 --die-with-parent --new-session"
        self._command = [
            *("bwrap", *isolated.split(), "--ro-bind", image.root, "/", "--proc", "/proc", "--dev", "/dev"),
            *("--perms", "1777", "--tmpfs", "/dev/shm", "--perms", "1777", "--tmpfs", "/tmp", "--tmpfs", "/run"),  # noqa: S108
            *(word for bind in binds for word in bind),
            *("--ro-bind", secrets, SECRETS, "--remount-ro", "/run"),
            *("--chdir", image.config["WorkingDir"], "--clearenv"),
            *(word for name, value in given.items() for word in ("--setenv", name, value)),
            # Engines begin as root too. Nothing is left of that.
            *("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"),
            *self._as_user(),
            *image.config["Entrypoint"],
            *(command or image.config["Cmd"]),
        ]

    def __enter__(self) -> Self:
        ours, theirs = os.pipe()
        with self._log.open("wb") as log, os.fdopen(ours) as described:
            command = [*self._command[:1], "--info-fd", str(theirs), *self._command[1:]]
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.PIPE, pass_fds=[theirs])
            os.close(theirs)
            self.pid: int = json.loads("".join(iter(described.readline, "}\n")) + "}")["child-pid"]
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)  # with all its processes
        self._process.communicate()

    def _as_user(self) -> list[str]:
        drops = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--clear-groups"]
        return ["setpriv", f"--reuid={self._user}", "--regid=0", *drops]

    def run(self, *command: str, typed: str = "") -> str:
        """Run a command in it, as `podman exec` does, and give its output; it must succeed."""
        environ = dict(entry.split("=", 1) for entry in self._image.config["Env"])
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--ipc", "--uts", "--root", "--wd"]
        done = subprocess.run(
            [*inside, *self._as_user(), *command],
            input=typed,
            env=environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def wait_for_event(self, name: str) -> dict[str, Any]:
        """The first record of its log with this event; all records are JSON on standard output."""

        def found() -> list[dict[str, Any]]:
            whole = self._log.read_text(encoding="utf-8").rpartition("\n")[0]
            return [record for record in map(json.loads, whole.splitlines()) if record["event"] == name]

        def trouble() -> str:
            ended = self._process.poll() is not None
            return f"{name} in {self._log.read_text()}" + (str(self._process.communicate()) if ended else "")

        records: list[dict[str, Any]] = wait_until(found, trouble)
        return records[0]

    def stop(self) -> int:
        """Send SIGTERM to its process 1, wait, and give the exit code; nothing else was printed."""
        os.kill(self.pid, signal.SIGTERM)
        _, printed = self._process.communicate(timeout=PATIENCE)
        assert not printed, printed
        return self._process.returncode

"""Lists the files beside the code, and copies them to a directory."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from contactsync.errors import OutputError, UsageError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_PURPOSES = {
    "completion": "completion for bash, zsh and fish",
    "container": "a Compose file with the console and PostgreSQL",
    "kubernetes": "manifests of one daemon and of a fleet",
    "man": "man pages",
    "monitoring": "alert rules for Prometheus and Loki, a Grafana dashboard",
    "postgresql": "database roles, personal folders, a role for backups",
    "schemas": "JSON Schemas of definitions in a file and of mappings",
    "settings.toml": "every setting with its meaning and its default",
    "systemd": "units, accounts (sysusers.d) and directories (tmpfiles.d)",
}
_DEFAULT_PROGRAM = b"/usr/local/lib/contactsync/bin/contactsync"
"""The program in the units, as `make install` installs it."""


@dataclass(frozen=True, slots=True)
class IncludedFile:
    """One file: its name with its folder, its purpose and its content."""

    name: str
    purpose: str
    content: bytes


def included_files() -> list[IncludedFile]:
    """All files, by name. The units name the program of this installation."""
    root = files("contactsync.files")
    return [
        IncludedFile(name, _PURPOSES[name.partition("/")[0]], _content(name, file))
        for top in sorted(_PURPOSES)
        for name, file in _walk(root / top, top)
    ]


def copy_files(names: Iterable[str], directory: Path, *, force: bool) -> list[Path]:
    """Copy files, or the content of folders, to a directory, which is created; returns the paths.

    Without names all files are copied, each below its folder. A file that exists with other content is replaced only
    with `force`; otherwise nothing is written. Raises UsageError, OutputError.
    """
    targets = {directory / place: file for place, file in _selected(list(names))}
    differing = [path for path, file in targets.items() if _differs(path, file.content)]
    if differing and not force:
        more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
        raise UsageError(
            f"{differing[0]}{more} would be overwritten, and nothing was copied.",
            hint="Choose another directory, or overwrite with --force.",
        )
    for path, file in targets.items():
        _write(path, file.content)
    return list(targets)


def _selected(names: list[str]) -> Iterator[tuple[str, IncludedFile]]:
    """The files with their places below the target directory."""
    known = included_files()
    if not names:
        yield from ((file.name, file) for file in known)
    for name in (name.rstrip("/") for name in names):
        matches = [file for file in known if file.name == name or file.name.startswith(f"{name}/")]
        if not matches or not name:
            raise UsageError(
                f'There is no file or folder "{name}" in contactsync.', hint="`contactsync files` lists them."
            )
        for file in matches:
            yield (file.name.removeprefix(f"{name}/") if file.name != name else file.name.rpartition("/")[2]), file


def _walk(entry: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    if entry.is_file():
        yield name, entry
    elif entry.is_dir():
        for child in sorted(entry.iterdir(), key=lambda child: child.name):
            yield from _walk(child, f"{name}/{child.name}")


def _content(name: str, file: Traversable) -> bytes:
    content = file.read_bytes()
    if not name.startswith("systemd/"):
        return content
    return content.replace(_DEFAULT_PROGRAM, os.fsencode(Path(sys.prefix, "bin", "contactsync")))


def _differs(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() != content
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _not_written(path, error) from None


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically; one that exists keeps its owner and permissions, because settings may hold passwords."""
    unfinished = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if path.exists():
                before = path.stat()
                os.fchown(handle, before.st_uid, before.st_gid)
                os.fchmod(handle, stat.S_IMODE(before.st_mode))
            else:
                os.fchmod(handle, 0o644)
        Path(unfinished).replace(path)
    except OSError as error:
        if unfinished:
            Path(unfinished).unlink(missing_ok=True)
        raise _not_written(path, error) from None


def _not_written(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written: {error.strerror}.", hint="Choose a directory in which you may write."
    )

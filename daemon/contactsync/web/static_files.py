"""Stylesheet, scripts and icons. Their URLs hold a digest of their content, so that browsers keep them for good."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, HTTPException, Response

IMMUTABLE = "public, max-age=31536000, immutable"
_DIGEST_LETTERS = 16

router = APIRouter()


@dataclass(frozen=True, slots=True)
class _File:
    octets: bytes
    media_type: str
    digest: str


class StaticFiles:
    """The files below a directory, in memory."""

    def __init__(self, root: Traversable) -> None:
        self._files = {path: _read(path, file) for path, file in _walk(root, "")}

    def url(self, path: str) -> str:
        """The URL of a file. Raises KeyError if there is none."""
        return f"/static/{self._files[path].digest}/{path}"

    def find(self, digest: str, path: str) -> _File | None:
        """The file at a URL; None if its content is another by now."""
        file = self._files.get(path)
        return file if file and file.digest == digest else None


@cache
def static_files() -> StaticFiles:
    """The files of this release."""
    return StaticFiles(files("contactsync.web").joinpath("static"))


@router.get("/static/{digest}/{path:path}")
def static_file(digest: str, path: str) -> Response:
    """A file, whoever asks for it."""
    file = static_files().find(digest, path)
    if file is None:
        raise HTTPException(404)
    return Response(file.octets, media_type=file.media_type, headers={"Cache-Control": IMMUTABLE})


def _walk(directory: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for each in directory.iterdir():
        if each.is_dir():
            yield from _walk(each, f"{prefix}{each.name}/")
        else:
            yield f"{prefix}{each.name}", each


def _read(path: str, file: Traversable) -> _File:
    octets = file.read_bytes()
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return _File(octets, media_type, hashlib.sha256(octets).hexdigest()[:_DIGEST_LETTERS])

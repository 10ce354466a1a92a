"""The navigation: the headings of docs/README.md, each with the pages that it links to. Strict builds miss no page."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from sphinx.application import Sphinx

_SECTION = re.compile(r"^## (.*)$", re.MULTILINE)
_LINK = re.compile(r"\]\((?!\w+:)([^)#]+)\.md(?:#[^)]*)?\)")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _add_navigation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    if page == app.config.root_doc:
        source[0] += "\n".join(_trees(source[0], posixpath.dirname(page)))


def _trees(text: str, folder: str) -> Iterator[str]:
    _, *sections = _SECTION.split(text)
    listed: set[str] = set()
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        pages = [posixpath.normpath(posixpath.join(folder, link)) for link in _LINK.findall(body)]
        new = [page for page in dict.fromkeys(pages) if page not in listed]
        listed.update(new)
        yield from ("", "```{toctree}", ":hidden:", f":caption: {title}", "", *(f"/{page}" for page in new), "```", "")

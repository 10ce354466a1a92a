"""Repairs of the pages that Furo makes, for screen readers; and index.html, which leads to the first page."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

_REPAIRS = (
    ('<p class="caption" role="heading">', '<p class="caption" role="heading" aria-level="2">'),
    ('<aside class="sidebar-drawer">', '<aside class="sidebar-drawer" aria-label="All pages">'),
    ('<aside class="toc-drawer', '<aside aria-label="This page" class="toc-drawer'),
    ('<div id="search-results">', '<h1>Search</h1><div id="search-results">'),
    ('<th class="head"><p></p></th>', "<td></td>"),
)
_FIRST_PAGE = """<!doctype html>
<html lang="en"><title>contactsync</title>
<meta http-equiv="refresh" content="0; url={page}">
<p><a href="{page}">contactsync</a></p>
"""


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", _finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _finish(app: Sphinx, error: Exception | None) -> None:
    if error:
        return
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for before, after in _REPAIRS:
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8")
    first = _FIRST_PAGE.format(page=f"{app.config.root_doc}.html")
    Path(app.outdir, "index.html").write_text(first, encoding="utf-8")

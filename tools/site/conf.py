"""The configuration of Sphinx; the folder of the sources is that of the repository."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from contactsync import __version__

project = "contactsync"
version = release = __version__
html_title = f"contactsync {__version__}"
html_theme = "furo"

extensions = ["myst_parser", "tools.site.navigation", "tools.site.anchors", "tools.site.html"]
root_doc = "docs/README"
include_patterns = ["*.md", "daemon/contactsync/web/static/vendor/README.md", "deploy/**.md", "docs/**.md"]
exclude_patterns = [".*", "dist", "tests"]

# The same Markdown is read on forges: headings have the anchors that these give them, and nothing is a directive.
myst_heading_anchors = 4
myst_disable_syntax = ["myst_block_break", "myst_line_comment", "myst_role", "myst_target"]

highlight_language = "none"
html_copy_source = False
html_show_copyright = False
html_static_path = ["static"]
html_js_files = ["scrolling.js"]
html_search_scorer = str(Path(__file__).parent / "static" / "scorer.js")
html_show_search_summary = False  # a page opened from the disk may not read others
html_use_index = False


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_lexer("ldap", TextLexer)

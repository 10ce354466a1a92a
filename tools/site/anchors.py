"""Anchors for rows of tables that begin with a code: an error, an event, a setting, a metric. The search finds them."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class RowAnchors(SphinxTransform):
    """Adds the anchors, and an entry of the index for each."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        """Called by Sphinx for each page."""
        for row in self.document.findall(nodes.row):
            literals = list(row[0].findall(nodes.literal))
            text = row[0].astext()
            if len(literals) == 1 and literals[0].astext() == text and " " not in text:
                anchor = re.sub(r"[^\w.-]+", "-", text).strip("-")
                if anchor and anchor not in self.document.ids:
                    row["ids"].append(anchor)
                    self.document.ids[anchor] = row
                    row[0].insert(0, addnodes.index(entries=[("single", text, anchor, "main", None)]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_transform(RowAnchors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

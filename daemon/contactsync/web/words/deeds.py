"""What a user did, and how, in the words of people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contactsync.web.language import gettext, mark

ACTIONS = {
    "definition.added": mark("added"),
    "definition.edited": mark("edited"),
    "definition.removed": mark("removed"),
    "definition.paused": mark("paused"),
    "definition.resumed": mark("resumed"),
    "folder.edited": mark("name or owner edited"),
    "rights.set": mark("rights given or taken away"),
    "password.set": mark("password given anew"),
    "password.cleared": mark("password removed"),
    "run.approved": mark("run approved"),
    "run.rejected": mark("run rejected"),
    "run.undone": mark("run undone"),
    "run.cancelled": mark("run cancelled"),
    "sync.requested": mark("run requested"),
    "sync.cancelled": mark("request withdrawn"),
    "node.drained": mark("node drained"),
    "node.resumed": mark("node resumed"),
    "node.forgotten": mark("node forgotten"),
    "database.restored": mark("backup restored"),
    "token.added": mark("token added"),
    "token.revoked": mark("token revoked"),
}
"""The actions of the audit, as docs/reference/sql.md lists them."""

_WAYS = {
    "web": mark("at the web console"),
    "cli": mark("on the command line"),
    "api": mark("by the API"),
    "sql": mark("by SQL"),
    "daemon": mark("by the daemon"),
}


def deed_words(deed: Mapping[str, Any]) -> str:
    """What was done; the action itself if a newer daemon has one that is not known here."""
    return gettext(words) if (words := ACTIONS.get(deed["action"])) else str(deed["action"])


def way_words(deed: Mapping[str, Any]) -> str:
    """How the user came."""
    return gettext("with a token") if deed["actor_kind"] == "token" else gettext(_WAYS[deed["via"]])

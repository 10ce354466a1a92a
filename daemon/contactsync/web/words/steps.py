"""The steps of a check in the words of people."""

from __future__ import annotations

from contactsync.web.language import gettext


def step_words(name: str, title: str) -> str:
    """The step in the language of the request."""
    _ = gettext
    return {
        "definition": _("Definition"),
        "bind": _("Bind"),
        "base": _("Base"),
        "filter": _("Filter"),
        "identity": _("Identity"),
        "paging": _("Paging"),
        "changes": _("Changes"),
        "deleted_objects": _("Deletions"),
        "sample": _("Sample"),
        "plan": _("First plan"),
    }.get(name, title)

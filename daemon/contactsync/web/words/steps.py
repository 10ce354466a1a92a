"""The steps of a check in the words of people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contactsync.web.language import current_language, gettext, ngettext
from contactsync.web.words.formats import day, number
from contactsync.web.words.problems import in_words, with_original

_Data = Mapping[str, Any]


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


def step_found(step: Mapping[str, Any]) -> str:
    """What a step found. In another language than English it is said from the step's data.

    The daemon's own sentences follow if there is something to do, because only they say what.
    """
    if current_language() == "en":
        return str(step["text"])
    said, data = f"{step['text']} {step['hint']}".strip(), step["data"]
    if data.get("error_code"):
        return in_words(data["error_code"], said)
    find = _FOUND.get(step["name"])
    words = find(data) if find else None
    return words if words and step["status"] == "ok" else with_original(words or "", said)


def _definition(_data: _Data) -> str:
    return gettext("All fields are valid.")


def _dns(data: _Data) -> str:
    servers = data["servers"]
    found = [each for each in servers if each["addresses"]]
    if data["found_by_srv"] or len(servers) > 1:
        names = ", ".join(each["server"] for each in found)
        words = gettext("%(number)s of %(all)s servers have an address: %(servers)s.")
        return words % {"number": len(found), "all": len(servers), "servers": names}
    values = {"server": servers[0]["server"], "addresses": ", ".join(servers[0]["addresses"])}
    return gettext("%(server)s has the address %(addresses)s.") % values


def _tcp(data: _Data) -> str:
    addresses = data["addresses"]
    answered = [each for each in addresses if "milliseconds" in each]
    if len(addresses) == 1 and answered:
        values = {"address": addresses[0]["address"], "number": number(addresses[0]["milliseconds"])}
        return gettext("%(address)s answered after %(number)s ms.") % values
    values = {"number": number(len(answered)), "all": number(len(addresses))}
    return gettext("%(number)s of %(all)s addresses answer.") % values


def _tls(data: _Data) -> str:
    if not data["protected"]:
        return gettext("The connection is not encrypted.")
    if not data["verified"]:
        return gettext("%(version)s, but the certificate is not verified.") % {"version": data["version"]}
    until = day(data["chain"][0]["not_after"][:10]) if data["chain"] else "\N{EN DASH}"
    return gettext("%(version)s; the certificate is trusted, and valid until %(day)s.") % {
        "version": data["version"],
        "day": until,
    }


def _bind(data: _Data) -> str:
    if data["user"]:
        return gettext("%(server)s accepts the user %(user)s.") % data
    return gettext("%(server)s accepts the connection without a user.") % data


def _root_dse(data: _Data) -> str | None:
    if "naming_contexts" not in data:
        return gettext("This user cannot read what the server says about itself.")
    product = data["product"] or gettext("Unknown product")
    values = {"product": product, "contexts": ", ".join(data["naming_contexts"]) or gettext("none visible")}
    return gettext("%(product)s; naming contexts: %(contexts)s.") % values


def _base(data: _Data) -> str:
    _ = gettext
    scopes = {"sub": _("the base and everything below it"), "one": _("directly below the base")}
    scope = scopes.get(data["scope"], _("only the base itself"))
    return _("%(base)s: %(scope)s.") % {"base": data["base"] or _("The empty base"), "scope": scope}


def _filter(data: _Data) -> str:
    values = {"filter": data["filter"], "number": number(data["entries"])}
    if not data["complete"]:
        return gettext("%(filter)s finds at least %(number)s entries.") % values
    return (
        ngettext("%(filter)s finds %(number)s entry.", "%(filter)s finds %(number)s entries.", data["entries"]) % values
    )


def _identity(data: _Data) -> str:
    names = gettext(" or ").join(data["identity"])
    if data["double"]:
        return gettext("%(names)s is not unique.") % {"names": names}
    values = {"names": names, "number": number(data["with_key"]), "all": number(data["entries"])}
    return gettext("%(names)s identifies %(number)s of the first %(all)s entries.") % values


def _paging(data: _Data) -> str:
    if "limit" in data:
        return gettext("The server ends the search after %(number)s entries.") % {"number": number(data["limit"])}
    if data["paging"]:
        return gettext("The server offers pages.")
    return gettext("All entries are read in one search.")


def _changes(data: _Data) -> str:
    if data["mode"] == "full" or data["obstacle"]:
        return gettext("Every run reads everything.")
    if data["counters"]:
        return gettext("A run reads nothing while the server counts no change.")
    return gettext("Runs of large folders read only changes.")


def _deleted_objects(data: _Data) -> str:
    if data["readable"]:
        return gettext("This user can read deleted entries.")
    return gettext("This user does not see deleted entries. Runs do not need them.")


def _sample(data: _Data) -> str:
    values = {"number": number(len(data["contacts"])), "rejected": number(len(data["rejected"]))}
    if data["rejected"]:
        return gettext("%(rejected)s of the first entries cannot become contacts. Runs leave them out.") % values
    return (
        ngettext(
            "%(number)s of the first entries as a contact.",
            "%(number)s of the first entries as contacts.",
            len(data["contacts"]),
        )
        % values
    )


def _plan(data: _Data) -> str:
    added, changed, deleted = (number(data[name]) for name in ("inserts", "updates", "deletes"))
    if data["estimated"]:
        return gettext("A new folder would get %(number)s contacts.") % {"number": added}
    values = {"added": added, "changed": changed, "deleted": deleted}
    return gettext("A run would add %(added)s, change %(changed)s and delete %(deleted)s contacts.") % values


_FOUND = {
    "definition": _definition,
    "dns": _dns,
    "tcp": _tcp,
    "tls": _tls,
    "bind": _bind,
    "root_dse": _root_dse,
    "base": _base,
    "filter": _filter,
    "identity": _identity,
    "paging": _paging,
    "changes": _changes,
    "deleted_objects": _deleted_objects,
    "sample": _sample,
    "plan": _plan,
}
"""What a step found, from its data, by its name."""

"""An edit of a definition in the words of people: what was done, by whom, and each field before and after."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from contactsync.web.language import gettext
from contactsync.web.pages.fields import form_fields
from contactsync.web.words.deeds import deed_words, way_words

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class FieldEdit:
    """A field, or a key of the mapping, before and after; "" if it was not set."""

    words: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class EditShown:
    """A deed of the audit. `way` is how the actor came; `fields` are those that differ, and all of a new definition."""

    at: str
    action: str
    actor: str
    way: str
    address: str | None
    fields: list[FieldEdit]
    is_new: bool

    @classmethod
    def of(cls, deed: Mapping[str, Any]) -> Self:
        """The edit in a document of the API, which never has a password."""
        return cls(
            deed["at"],
            deed_words(deed),
            deed["actor"],
            way_words(deed),
            deed["address"],
            list(_fields(deed["before"] or {}, deed["after"] or {})),
            deed["action"] == "definition.added",
        )


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldEdit]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) or isinstance(new, Mapping):
            yield from _keys(setting_words(name), old or {}, new or {})
        else:
            yield FieldEdit(setting_words(name), _text(old), _text(new))


def _keys(words: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[FieldEdit]:
    """The keys of a mapping that differ, each with its path: `Mapping fields.title`."""
    for key in sorted({*old, *new}):
        one, other = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if one == other:
            continue
        deeper = [each for each in (one, other) if isinstance(each, Mapping)]
        if deeper and all(each is _ABSENT or isinstance(each, Mapping) for each in (one, other)):
            yield from _keys(f"{words} {key}", *(each if isinstance(each, Mapping) else {} for each in (one, other)))
        else:
            yield FieldEdit(f"{words} {key}", *("" if each is _ABSENT else _text(each) for each in (one, other)))


def setting_words(name: str) -> str:
    """A column of a definition in the words of its form; one that the form has not by its own name."""
    if name == "mapping":
        return gettext("Mapping")
    field = form_fields(gettext).get({"bind_user": "user"}.get(name, name))
    return field.words if field else name


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""A mapping as rows of a form: each source in a line, `manager as rdn` or `{sn}, {givenName}`, and a policy."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from contactsync.fields import EXTRA_PREFIX
from contactsync.web.language import gettext
from contactsync.web.words.field_names import field_words

ALWAYS, NOTHING = "directory", "none"
_NO_PRESET = "none"
_AS = re.compile(r"(\S+)\s+as\s+(\S+)")
_GROUPS = {
    "name": ("display_name", "name_prefix", "given_name", "additional_names", "family_name", "name_suffix", "nickname",
             "initials"),
    "reach": ("emails", "work_phones", "mobile_phones", "home_phones", "other_phones", "fax_numbers", "pagers",
              "ip_phones"),
    "work": ("organization", "department", "title", "employee_number", "manager", "assistant", "office"),
    "address": ("street", "po_box", "city", "region", "postal_code", "country", "home_address"),
}  # fmt: skip
_BLANK_EXTRAS = 2
_KEYS = {"preset", "include", "identity", "fields"}


class NotRows(ValueError):
    """A mapping that rows cannot show; as text it can be edited."""


@dataclass(slots=True)
class Row:
    """A field: its sources in lines, its policy, and the sources of the presets. `key` begins the names of inputs."""

    key: str
    name: str
    words: str
    text: str = ""
    policy: str = ALWAYS
    presets: list[tuple[str, str]] = field(default_factory=list)
    error: str = ""

    @property
    def is_own(self) -> bool:
        """Whether it differs from the preset."""
        return bool(self.text.strip()) or self.policy != ALWAYS

    @property
    def lines(self) -> int:
        """The height of the input."""
        return min(max(1, len(self.text.splitlines())), 8)


@dataclass(slots=True)
class MappingForm:
    """The form. `wrong` is a sentence for each input that is not valid, by its name."""

    parts: Mapping[str, Any]
    preset: str = ""
    identity: str = ""
    include: dict[str, bool] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    extras: list[Row] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)

    def groups(self) -> Iterator[tuple[str, str, list[Row], bool]]:
        """The rows in groups: a name, its words, and whether to open it."""
        _ = gettext
        words = {"name": _("Name"), "reach": _("Email and phone"), "work": _("Work"), "address": _("Address")}
        rest = [name for name in self.rows if not any(name in names for names in _GROUPS.values())]
        for key, names in {**_GROUPS, "other": tuple(rest)}.items():
            rows = [self.rows[name] for name in names if name in self.rows]
            extras = self.extras if key == "other" else []
            opened = key == "name" or any(row.is_own or row.error for row in (*rows, *extras))
            yield key, words.get(key, _("Other fields")), rows, opened

    def mark(self, part: list[str], sentence: str) -> str:
        """Put the daemon's sentence at the input that a pointer into the mapping means; the input's id, or ""."""
        row: Row | None = None
        match part:
            case ["fields", name] if name in self.rows:
                row = self.rows[name]
            case ["fields", name]:
                row = next((each for each in self.extras if each.name and f"{EXTRA_PREFIX}{each.name}" == name), None)
            case ["identity" | "preset" | "include" as name, *_]:
                self.wrong[name] = sentence
                return name
        if row is None:
            return ""
        row.error = sentence
        return f"{row.key}.sources"

    def mapping(self) -> dict[str, Any] | None:
        """The mapping that the form says; None if it is the preset's. Marks lines that are not valid JSON."""
        rows = {row.name: row for row in self.rows.values()}
        rows |= {f"{EXTRA_PREFIX}{row.name}": row for row in self.extras if row.name}
        for row in self.extras:
            if not row.name and row.is_own:
                row.error = gettext("This field needs a name.")
        fields = {name: value for name, row in rows.items() if (value := _value(row)) is not _INHERITED}
        defaults = self.parts["include"]
        include = {name: switch for name, switch in self.include.items() if switch != defaults.get(name)}
        names = self.identity.replace(",", " ").split()
        found = {"preset": self.preset, "include": include, "identity": names, "fields": fields}
        made = {key: value for key, value in found.items() if value}
        if len(names) == 1:
            made["identity"] = names[0]
        return made or None


_INHERITED = object()


def empty_form(parts: Mapping[str, Any], preset: str = "") -> MappingForm:
    """The form of a folder without a mapping of its own."""
    form = MappingForm(parts, preset=preset, include=dict(parts["include"]))
    for name in parts["fields"]:
        presets = list(_of_presets(parts, preset, name))
        form.rows[name] = Row(f"field.{name}", name, field_words(name), presets=presets)
    return form


def form_of(parts: Mapping[str, Any], mapping: Mapping[str, Any] | None) -> MappingForm:
    """The form of a mapping. Raises NotRows."""
    mapping = mapping or {}
    preset, identity, fields = mapping.get("preset") or "", mapping.get("identity") or [], mapping.get("fields") or {}
    include = mapping.get("include") or {}
    identity = [identity] if isinstance(identity, str) else identity
    is_shape = preset in ["", _NO_PRESET, *parts["presets"]] and isinstance(fields, dict) and isinstance(include, dict)
    if mapping.keys() - _KEYS or not is_shape or not _are_names(identity):
        raise NotRows
    form = empty_form(parts, preset)
    form.identity = ", ".join(identity)
    if include.keys() - form.include.keys() or not all(isinstance(switch, bool) for switch in include.values()):
        raise NotRows
    form.include |= include
    extras = {}
    for name, value in fields.items():
        text, policy = _shown(value, parts["policies"])
        if name in form.rows:
            form.rows[name].text, form.rows[name].policy = text, policy
        elif name.startswith(EXTRA_PREFIX):
            extras[name.removeprefix(EXTRA_PREFIX)] = (text, policy)
        else:
            raise NotRows
    _add_extras(form, extras)
    return form


def typed_form(parts: Mapping[str, Any], typed: Mapping[str, str]) -> MappingForm:
    """The form as a person has filled it in."""
    form = empty_form(parts, typed.get("preset", ""))
    form.identity = typed.get("identity", "")
    form.include = {name: typed.get(f"include.{name}", str(on).lower()) == "true" for name, on in form.include.items()}
    for row in form.rows.values():
        row.text, row.policy = typed.get(f"{row.key}.sources", ""), typed.get(f"{row.key}.policy", ALWAYS)
    number = sum(1 for name in typed if name.startswith("extra.") and name.endswith(".name"))
    for index in range(number):
        row = _extra(index, typed.get(f"extra.{index}.name", "").strip())
        row.text, row.policy = typed.get(f"{row.key}.sources", ""), typed.get(f"{row.key}.policy", ALWAYS)
        form.extras.append(row)
    if all(row.name for row in form.extras):
        _add_extras(form, {})
    return form


def _add_extras(form: MappingForm, extras: Mapping[str, tuple[str, str]]) -> None:
    for name, (text, policy) in extras.items():
        row = _extra(len(form.extras), name)
        row.text, row.policy = text, policy
        form.extras.append(row)
    form.extras += [_extra(len(form.extras) + number, "") for number in range(_BLANK_EXTRAS)]


def _extra(index: int, name: str) -> Row:
    return Row(f"extra.{index}", name, name)


def _of_presets(parts: Mapping[str, Any], chosen: str, name: str) -> Iterator[tuple[str, str]]:
    """The sources of a field in the chosen preset; in each of them if the server decides, once if they are equal."""
    names = [chosen] if chosen in parts["presets"] else [] if chosen else list(parts["presets"])
    found = {preset: ", ".join(_lines(parts["presets"][preset]["fields"].get(name))) for preset in names}
    if len(set(found.values())) == 1:
        found = {"": next(iter(found.values()))}
    yield from ((preset, text) for preset, text in found.items() if text)


def _shown(value: Any, policies: Collection[str]) -> tuple[str, str]:
    """The sources of a field in lines, and its policy. Raises NotRows."""
    if isinstance(value, dict) and "attribute" not in value:
        policy = value.get("policy", ALWAYS)
        if value.keys() - {"from", "policy"} or policy not in policies:
            raise NotRows
        text = "\n".join(_lines(value.get("from")))
        return ("", NOTHING) if "from" in value and not text else (text, policy)
    text = "\n".join(_lines(value))
    return text, ALWAYS if text else NOTHING


def _lines(value: Any) -> list[str]:
    sources = [] if value is None else value if isinstance(value, list) else [value]
    return [_line(source) for source in sources]


def _line(source: Any) -> str:
    if isinstance(source, dict) and source.keys() == {"attribute", "as"} and _are_names(list(source.values())):
        return f"{source['attribute']} as {source['as']}"
    is_plain = isinstance(source, str) and source and source == " ".join(source.split())
    if is_plain and not source.startswith(('"', '{"')) and ("{" in source or not _AS.fullmatch(source)):
        return str(source)
    return json.dumps(source, ensure_ascii=False)


def _value(row: Row) -> Any:
    """The value of a field in a mapping; _INHERITED if the preset's is kept."""
    if row.policy == NOTHING:
        return None
    lines = [line.strip() for line in row.text.splitlines() if line.strip()]
    if not lines:
        return _INHERITED if row.policy == ALWAYS else {"policy": row.policy}
    try:
        sources = [_source(line) for line in lines]
    except (ValueError, RecursionError):
        row.error = gettext("A line that begins with a quotation mark must be valid JSON.")
        return _INHERITED
    value = sources[0] if len(sources) == 1 else sources
    return value if row.policy == ALWAYS else {"from": value, "policy": row.policy}


def _source(line: str) -> Any:
    if line.startswith(('"', '{"')):
        return json.loads(line)
    edited = None if "{" in line else _AS.fullmatch(line)
    return {"attribute": edited[1], "as": edited[2]} if edited else line


def _are_names(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, str) and value and not any(character.isspace() or character in ',"{' for character in value)
        for value in values
    )

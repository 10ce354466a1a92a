"""The part of the SQL that depends on the mapping: which columns it fills, and what each becomes under its policy.

In every fragment `c` is the contact as it stands and `s` the staged row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from contactsync.fields import EXTRA_PREFIX, PHOTO, Kind, kind_of
from contactsync.model import Policy

PHOTO_DIGEST = "photo_digest"
_JSONB = "jsonb"

_BLANK = {
    "text": sql.SQL("coalesce(c.{0}, '') = ''"),
    "text[]": sql.SQL("c.{0} = '{{}}'"),
    "bytea": sql.SQL("c.{0} IS NULL"),
}

_STAGED_TYPES: dict[str, LiteralString] = {
    "text": "text",
    "text[]": "text[] DEFAULT '{}'",
    "bytea": "bytea",
    "jsonb": "jsonb DEFAULT '{}'",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `contacts` that the mapping fills. For `extra`, `after` merges key by key."""

    name: str
    type: str
    after: sql.Composable


_SOURCE_DN = Column("source_dn", "text", sql.Identifier("s", "source_dn"))


@dataclass(frozen=True, slots=True)
class Columns:
    """All columns that one mapping fills, and the order of its values in a staged row."""

    fields: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def has_photo(self) -> bool:
        """Whether the mapping brings photos."""
        return PHOTO in self.fields

    @property
    def staged_definitions(self) -> sql.Composed:
        """Every mapped column of the staging table with its type and what is blank in it.

        The photo's octets come beside its digest.
        """
        pairs = [(column.name, column.type) for column in self.columns]
        if self.has_photo:
            pairs.append((PHOTO, "bytea"))
        return _comma(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(_STAGED_TYPES[kind])) for name, kind in pairs
        )

    @property
    def names(self) -> sql.Composed:
        """The columns of `contacts`, without table."""
        return _comma(sql.Identifier(column.name) for column in self.columns)

    @property
    def staged(self) -> sql.Composed:
        """Their values in a staged row."""
        return _comma(sql.Identifier("s", column.name) for column in self.columns)

    @property
    def after(self) -> sql.Composed:
        """Their values once the policies had their say."""
        return _comma(column.after for column in self.columns)

    @property
    def compared(self) -> tuple[sql.Composed, sql.Composed]:
        """What is compared to tell an update from a refresh: the columns before and after, the DN among them."""
        before = [sql.Identifier("c", column.name) for column in self.columns]
        return (
            _comma([*before, sql.Identifier("c", "source_dn")]),
            _comma([*(column.after for column in self.columns), sql.Identifier("s", "source_dn")]),
        )

    @property
    def changed(self) -> sql.Composed:
        """The columns that differ, as one jsonb object: {"column": [before, after]}.

        Column by column, since two objects of all of them, compared key by key, take PostgreSQL four times as long.
        """
        plain = [column for column in (*self.columns, _SOURCE_DN) if column.type != _JSONB]
        objects = [column for column in self.columns if column.type == _JSONB]
        # jsonb_strip_nulls goes into objects as well, and what is null in those is a person's.
        whole = sql.SQL("jsonb_strip_nulls(jsonb_build_object({}))").format(_comma(map(_change, plain)))
        return sql.SQL(" || ").join([whole, *map(_change_alone, objects)])

    @property
    def brought(self) -> sql.Composed:
        """All values of a staged row as one jsonb object, the DN among them."""
        columns = (*self.columns, _SOURCE_DN)
        return sql.SQL("jsonb_build_object({})").format(
            _comma(_pair(column, sql.Identifier("s", column.name)) for column in columns)
        )

    @property
    def display_name(self) -> sql.Composable:
        """What a planned row is called: the staged display name where one is mapped."""
        return sql.Identifier("s", self._label)

    @property
    def label(self) -> sql.Composable:
        """The same in the contact that is made of it."""
        return sql.Identifier(self._label)

    @property
    def _label(self) -> str:
        mapped = any(column.name == "display_name" for column in self.columns)
        return "display_name" if mapped else "source_dn"


def columns_of(fields: tuple[str, ...], policies: Mapping[str, Policy]) -> Columns:
    """The columns for a mapping's field names (see contactsync.fields), each with its policy."""
    plain = [_column(field, policies[field]) for field in fields if not field.startswith(EXTRA_PREFIX)]
    extra = {field.removeprefix(EXTRA_PREFIX): policies[field] for field in fields if field.startswith(EXTRA_PREFIX)}
    if extra:
        plain.append(Column("extra", "jsonb", _extra_after(extra)))
    return Columns(fields, tuple(plain))


def _column(field: str, policy: Policy) -> Column:
    kind = kind_of(field)
    if kind is None:
        message = f"no contact field is named {field}"
        raise ValueError(message)
    name = PHOTO_DIGEST if kind is Kind.PHOTO else field
    return Column(name, kind.value, _after(name, kind, policy))


def _after(name: str, kind: Kind, policy: Policy) -> sql.Composable:
    current, staged = sql.Identifier("c", name), sql.Identifier("s", name)
    if policy is Policy.DIRECTORY:
        return staged
    if policy is Policy.INSERT:
        return current
    blank = _BLANK[kind.value].format(sql.Identifier(name))
    return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(blank, staged, current)


def _extra_after(policies: Mapping[str, Policy]) -> sql.Composable:
    """Fill-if-blank keys lie under what is there, the directory's own over it; keys not mapped stay."""
    owned = [key for key, policy in policies.items() if policy is Policy.DIRECTORY]
    filled = [key for key, policy in policies.items() if policy is Policy.FILL]
    return sql.SQL("({filled} || (c.extra - {owned}::text[]) || {ours})").format(
        filled=_only(filled, policies), owned=sql.Literal(owned), ours=_only(owned, policies)
    )


def _only(wanted: list[str], policies: Mapping[str, Policy]) -> sql.Composable:
    others = [key for key in policies if key not in wanted]
    return sql.SQL("(s.extra - {}::text[])").format(sql.Literal(others))


def _pair(column: Column, value: sql.Composable) -> sql.Composable:
    return sql.SQL("{}, {}").format(sql.Literal(column.name), value)


def _change(column: Column) -> sql.Composable:
    """Its name, and before and after, or null where they are the same."""
    both = sql.SQL("{}, {}").format(sql.Identifier("c", column.name), column.after)
    return _pair(column, sql.SQL("CASE WHEN {} THEN jsonb_build_array({}) END").format(_differs(column), both))


def _change_alone(column: Column) -> sql.Composable:
    """The same as an object of its own, empty where they are the same."""
    change = sql.SQL("CASE WHEN {} THEN jsonb_build_object({}) ELSE '{{}}' END")
    return change.format(_differs(column), _change(column))


def _differs(column: Column) -> sql.Composable:
    return sql.SQL("{} IS DISTINCT FROM {}").format(sql.Identifier("c", column.name), column.after)


def _comma(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)

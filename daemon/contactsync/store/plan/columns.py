"""The parts of the SQL that depend on the mapping: the columns that it fills, and their values by their policies.

In all fragments `c` is the contact before the run and `s` the staged row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import LiteralString

from psycopg import sql

from contactsync.fields import EXTRA_PREFIX, PHOTO, Kind, kind_of
from contactsync.model import Policy
from contactsync.store.statements import composed

PHOTO_DIGEST = "photo_digest"
_JSONB = "jsonb"

_BLANK = {
    "text": sql.SQL("coalesce(c.{0}, '') = ''"),
    "text[]": sql.SQL("c.{0} = '{{}}'"),
    "bytea": sql.SQL("c.{0} IS NULL"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `contacts` that the mapping fills; `after` is its value after the run."""

    name: str
    type: str
    after: sql.Composable

    @property
    def before(self) -> sql.Identifier:
        """Its value before the run."""
        return sql.Identifier("c", self.name)

    @property
    def differs(self) -> sql.Composed:
        """Whether the run changes it."""
        return sql.SQL("{} IS DISTINCT FROM {}").format(self.before, self.after)

    def change(self, template: LiteralString) -> sql.Composed:
        """A template with `name`, `differs` and `pair`, which is [before, after] as jsonb."""
        pair = sql.SQL("jsonb_build_array({}, {})").format(self.before, self.after)
        return sql.SQL(template).format(name=sql.Literal(self.name), differs=self.differs, pair=pair)


_SOURCE_DN = Column("source_dn", "text", sql.Identifier("s", "source_dn"))


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The columns that a mapping fills, and its fields in the order of a mapped entry's values.

    `columns_of` returns the same object for equal mappings, so that it can be a key.
    """

    fields: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def has_photo(self) -> bool:
        """Whether the mapping fills the photo."""
        return PHOTO in self.fields

    @property
    def names(self) -> sql.Composed:
        """The column names, without the table."""
        return _comma(sql.Identifier(column.name) for column in self.columns)

    @property
    def staged(self) -> sql.Composed:
        """The staged values of the columns."""
        return _comma(sql.Identifier("s", column.name) for column in self.columns)

    @property
    def after(self) -> sql.Composed:
        """The values of the columns after the run."""
        return _comma(column.after for column in self.columns)

    @property
    def compared(self) -> tuple[sql.Composed, sql.Composed]:
        """The columns and the DN before and after the run; a contact with equal ones is only refreshed."""
        columns = (*self.columns, _SOURCE_DN)
        return _comma(column.before for column in columns), _comma(column.after for column in columns)

    @property
    def changed(self) -> sql.Composed:
        """The changes of the columns and the DN as one jsonb object: {"column": [before, after]}.

        Column by column: to compare two objects of all columns takes PostgreSQL four times as long.
        """
        # jsonb_strip_nulls also removes nulls inside of jsonb values, which belong to people.
        columns = (*self.columns, _SOURCE_DN)
        plain = _comma(c.change("{name}, CASE WHEN {differs} THEN {pair} END") for c in columns if c.type != _JSONB)
        whole = "CASE WHEN {differs} THEN jsonb_build_object({name}, {pair}) ELSE '{{}}' END"
        objects = (column.change(whole) for column in columns if column.type == _JSONB)
        return sql.SQL(" || ").join([sql.SQL("jsonb_strip_nulls(jsonb_build_object({}))").format(plain), *objects])

    @property
    def staged_object(self) -> sql.Composed:
        """The staged values of the columns and the DN as one jsonb object."""
        pairs = (
            sql.SQL("{}, {}").format(sql.Literal(column.name), sql.Identifier("s", column.name))
            for column in (*self.columns, _SOURCE_DN)
        )
        return sql.SQL("jsonb_build_object({})").format(_comma(pairs))

    @property
    def label(self) -> str:
        """The column that names a planned row: the display name if it is mapped, otherwise the DN."""
        return "display_name" if "display_name" in self.fields else "source_dn"


@lru_cache(maxsize=512)
def statement_of(name: str, columns: Columns) -> bytes:
    """A statement whose names in braces are these properties of the columns.

    It is kept: to compose the statements of a run takes longer than to execute them.
    """
    before, after = columns.compared
    return composed(
        name,
        columns=columns.names,
        staged=columns.staged,
        staged_object=columns.staged_object,
        after=columns.after,
        compared_before=before,
        compared_after=after,
        changed=columns.changed,
        label=sql.Identifier("s", columns.label),
    ).as_bytes()


def columns_of(fields: tuple[str, ...], policies: Mapping[str, Policy]) -> Columns:
    """The columns for a mapping's fields (see contactsync.fields), each with its policy."""
    return _columns_of(fields, tuple(policies[field] for field in fields))


@lru_cache(maxsize=64)
def _columns_of(fields: tuple[str, ...], of_fields: tuple[Policy, ...]) -> Columns:
    policies = dict(zip(fields, of_fields, strict=True))
    columns = [_column(field, policies[field]) for field in fields if not field.startswith(EXTRA_PREFIX)]
    extra = {field.removeprefix(EXTRA_PREFIX): policies[field] for field in fields if field.startswith(EXTRA_PREFIX)}
    if extra:
        columns.append(Column("extra", _JSONB, _extra_after(extra)))
    return Columns(fields, tuple(columns))


def blank(field: str) -> sql.Composed:
    """Whether the contact before the run has no value of the field."""
    if field.startswith(EXTRA_PREFIX):
        return sql.SQL("coalesce(c.extra ->> {}, '') = ''").format(sql.Literal(field.removeprefix(EXTRA_PREFIX)))
    kind = _kind(field)
    return _BLANK[kind.value].format(sql.Identifier(_column_name(field, kind)))


def _kind(field: str) -> Kind:
    kind = kind_of(field)
    if kind is None:
        message = f"no contact field is named {field}"
        raise ValueError(message)
    return kind


def _column_name(field: str, kind: Kind) -> str:
    return PHOTO_DIGEST if kind is Kind.PHOTO else field


def _column(field: str, policy: Policy) -> Column:
    kind = _kind(field)
    name = _column_name(field, kind)
    before, staged = sql.Identifier("c", name), sql.Identifier("s", name)
    if policy is Policy.DIRECTORY:
        return Column(name, kind.value, staged)
    if policy is Policy.INSERT:
        return Column(name, kind.value, before)
    after = sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(blank(field), staged, before)
    return Column(name, kind.value, after)


def _extra_after(policies: Mapping[str, Policy]) -> sql.Composable:
    """Existing keys override keys with FILL; keys with DIRECTORY override existing keys; other keys stay."""
    directory = [key for key, policy in policies.items() if policy is Policy.DIRECTORY]
    not_directory = [key for key in policies if key not in directory]
    not_fill = [key for key, policy in policies.items() if policy is not Policy.FILL]
    extra = sql.SQL("((s.extra - {}::text[]) || (c.extra - {}::text[]) || (s.extra - {}::text[]))")
    return extra.format(sql.Literal(not_fill), sql.Literal(directory), sql.Literal(not_directory))


def _comma(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)

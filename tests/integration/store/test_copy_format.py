"""PostgreSQL returns the values that COPY has written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contactsync.store.plan import copy_format

# As in mapped values: no control characters except line breaks and tabs, no lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t\r\\\"'{},N"))
rows = st.tuples(
    st.none() | texts, st.lists(texts), st.none() | st.binary(), st.dictionaries(texts.filter(bool), st.none() | texts)
)


@pytest.fixture(scope="module")
def connection(postgres_server: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect once for all examples, with a temporary table for COPY."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE copied (t text, l text[], b bytea, j jsonb)")
        yield connection


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rows, min_size=1, max_size=20))
def test_every_value_comes_back(connection: psycopg.Connection[Any], given_rows: list[Any]) -> None:
    """With backslashes, quotes, line breaks, NULL and braces, in all types; a blank text becomes null."""
    t, a, b, j = zip(*given_rows, strict=True)
    columns = [copy_format.texts(t), copy_format.text_arrays(a), copy_format.octets(b), copy_format.json_objects(j)]
    connection.execute("TRUNCATE copied")
    with connection.cursor() as cursor, cursor.copy("COPY copied FROM STDIN") as copy:
        copy.write(copy_format.copy_block(columns))
    expected = [(t or None, a, b, {k: v for k, v in j.items() if v}) for t, a, b, j in given_rows]
    assert connection.execute("SELECT * FROM copied").fetchall() == expected


def test_a_marker_inside_a_value_is_refused() -> None:
    """No value can shift into another column."""
    with pytest.raises(ValueError, match="control character"):
        copy_format.copy_block([["a\x1fb", "d"], ["c", "e"]])


def test_text_without_a_mapping_is_cleaned() -> None:
    """NUL is removed, markers become spaces, everything else stays."""
    assert copy_format.plain(["cn=a\x00b\x1fc\x1ed\x1de\tf", "cn=x"]) == ["cn=ab c d e\tf", "cn=x"]
    assert copy_format.plain(["a\tb", "c"]) == ["a\tb", "c"]

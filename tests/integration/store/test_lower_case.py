"""Names of people in Python and in PostgreSQL."""

from __future__ import annotations

import unicodedata
from typing import Any

from psycopg import Connection

from contactsync.text import lower

OLD_LETTERS = [chr(code) for code in range(0x110000) if unicodedata.ucd_3_2_0.category(chr(code)) in {"Lu", "Lt", "Ll"}]


def test_the_same_letters_are_the_same_name(connection: Connection[Any]) -> None:
    """A right for `Straße` is not one for `Strasse`, wherever the names are compared."""
    assert len(OLD_LETTERS) > 1500
    rows = connection.execute("SELECT c, lower(c) FROM unnest(%s::text[]) AS c", [OLD_LETTERS]).fetchall()
    assert [(letter, stored) for letter, stored in rows if lower(letter) != stored] == []
    for name in ("ΟΔΟΣ", "İlke", "Straße", "ǅ"):
        assert connection.execute("SELECT lower(%s)", [name]).fetchone() == (lower(name),)

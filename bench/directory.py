"""Made-up people for the benchmarks: as many as wanted, the same number always the same person."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator

GIVEN = ["Anna", "Jürgen", "Zoë", "Łukasz", "Søren", "Þóra", "Иван", "太郎", "김민준", "José", "İpek", "Δημήτρης"]
FAMILY = ["Müller", "Smith", "Nowak", "Østergård", "Dvořák", "Петров", "山田", "Trần", "Çelik", "D'Angelo", "Groß"]
TITLES = ["Engineer", "Geschäftsführer", "Manager", "Réceptionniste"]
CITIES = [("Köln", "50667", "NRW"), ("São Paulo", "01310", "SP"), ("Kraków", "30-001", "MP"), ("東京", "100", "東京都")]


def attributes(number: int) -> dict[str, str]:
    """Fourteen attributes of a person; with objectClass they are fifteen."""
    pick = random.Random(number)
    given, family, city = pick.choice(GIVEN), pick.choice(FAMILY), pick.choice(CITIES)
    return {
        "uid": f"u{number:07d}",
        "cn": f"{given} {family}",
        "sn": family,
        "givenName": given,
        "mail": f"u{number:07d}@example.test",
        "telephoneNumber": f"+49 221 {pick.randrange(10**7):07d}",
        "mobile": f"+49 170 {pick.randrange(10**7):07d}",
        "title": pick.choice(TITLES),
        "departmentNumber": str(pick.randrange(100)),
        "o": "Example GmbH",
        "street": f"Straße {pick.randrange(200)}",
        "l": city[0],
        "postalCode": city[1],
        "st": city[2],
    }


def dn(number: int, base: str) -> str:
    """The name of the person's entry."""
    return f"uid=u{number:07d},{base}"


def ldif(numbers: range, base: str) -> Iterator[str]:
    """The LDIF records of people, for slapadd."""
    for number in numbers:
        yield f"dn: {dn(number, base)}\nobjectClass: inetOrgPerson\n{_lines(number)}\n"


def changes(round_number: int, *, existing: int, count: int, base: str) -> str:
    """`count` changes as LDIF for ldapmodify: half edits, a quarter adds, and a quarter deletes.

    What one round adds the next deletes; the first deletes the people with the highest numbers.
    """
    quarter = count // 4
    added = existing + round_number * quarter
    gone = existing - quarter if round_number == 0 else added - quarter
    edits = (round_number * count + step for step in range(count // 2))
    parts = [_edit(dn(number % (existing // 2), base), round_number) for number in edits]
    parts += [
        f"dn: {dn(added + step, base)}\nchangetype: add\nobjectClass: inetOrgPerson\n{_lines(added + step)}\n"
        for step in range(quarter)
    ]
    parts += [f"dn: {dn(gone + step, base)}\nchangetype: delete\n\n" for step in range(quarter)]
    return "".join(parts)


def _edit(name: str, round_number: int) -> str:
    return f"dn: {name}\nchangetype: modify\nreplace: title\ntitle: Round {round_number}\n\n"


def _lines(number: int) -> str:
    return "".join(f"{name}:: {_base64(value)}\n" for name, value in attributes(number).items())


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()

"""Made-up people for the benchmark: as many as wanted, the same number always the same person."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

TEAM_SIZE = 20
"""People in each of many small folders."""

GIVEN = ["Anna", "Jürgen", "Zoë", "Łukasz", "Søren", "Þóra", "Иван", "太郎", "김민준", "José", "İpek", "Δημήτρης"]
FAMILY = ["Müller", "Smith", "Nowak", "Østergård", "Dvořák", "Петров", "山田", "Trần", "Çelik", "D'Angelo", "Groß"]
TITLES = ["Engineer", "Geschäftsführer", "Manager", "Réceptionniste"]
CITIES = [("Köln", "50667", "NRW"), ("São Paulo", "01310", "SP"), ("Kraków", "30-001", "MP"), ("東京", "100", "東京都")]


def attributes(number: int) -> dict[str, str]:
    """Fourteen attributes of a person; with objectClass they are fifteen."""
    seed = blake2b(number.to_bytes(8), digest_size=16).digest()
    given, family, city = GIVEN[seed[0] % len(GIVEN)], FAMILY[seed[1] % len(FAMILY)], CITIES[seed[2] % len(CITIES)]
    return {
        "uid": f"u{number:07d}",
        "cn": f"{given} {family}",
        "sn": family,
        "givenName": given,
        "mail": f"u{number:07d}@example.test",
        "telephoneNumber": f"+49 221 {int.from_bytes(seed[8:12]) % 10**7:07d}",
        "mobile": f"+49 170 {int.from_bytes(seed[12:16]) % 10**7:07d}",
        "title": TITLES[seed[3] % len(TITLES)],
        "departmentNumber": str(seed[4] % 100),
        "o": "Example GmbH",
        "street": f"Straße {seed[5]}",
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


def team_base(team: int, base: str) -> str:
    """The organizational unit of a team."""
    return f"ou=t{team:06d},{base}"


def teams_ldif(teams: int, base: str) -> Iterator[str]:
    """The LDIF records of teams of twenty, each in an organizational unit of its own."""
    for team in range(teams):
        unit = team_base(team, base)
        yield f"dn: {unit}\nobjectClass: organizationalUnit\nou: t{team:06d}\n\n"
        yield from ldif(range(team * TEAM_SIZE, (team + 1) * TEAM_SIZE), unit)


@dataclass
class Staff:
    """The people below `base`, through rounds of changes to 1% of them: half edits, a quarter each adds and deletes.

    What one round adds the next deletes; the first deletes the people with the highest numbers.
    """

    count: int
    base: str
    rounds: int = 0
    _titles: dict[int, str] = field(default_factory=dict)

    @property
    def quarter(self) -> int:
        """How many a round adds, and how many it deletes; it edits twice as many."""
        return max(1, self.count // 400)

    def records(self) -> Iterator[tuple[str, dict[str, str]]]:
        """DN and attributes of everybody who is there now, in the order of the DN."""
        for numbers in (range(self.count - self.quarter if self.rounds else self.count), self._added(self.rounds)):
            for number in numbers:
                now = {"title": self._titles[number]} if number in self._titles else {}
                yield dn(number, self.base), attributes(number) | now

    def change(self) -> str:
        """The next round, as LDIF for ldapmodify."""
        self.rounds += 1
        edited = [(self.rounds * 2 * self.quarter + step) % (self.count // 2) for step in range(2 * self.quarter)]
        self._titles |= dict.fromkeys(edited, f"Round {self.rounds}")
        gone = self._added(self.rounds - 1) or range(self.count - self.quarter, self.count)
        parts = [_edit(dn(number, self.base), f"Round {self.rounds}") for number in edited]
        parts += [_add(number, self.base) for number in self._added(self.rounds)]
        parts += [f"dn: {dn(number, self.base)}\nchangetype: delete\n\n" for number in gone]
        return "".join(parts)

    def _added(self, round_number: int) -> range:
        end = self.count + round_number * self.quarter
        return range(max(self.count, end - self.quarter), end)


def _edit(name: str, title: str) -> str:
    return f"dn: {name}\nchangetype: modify\nreplace: title\ntitle: {title}\n\n"


def _add(number: int, base: str) -> str:
    return f"dn: {dn(number, base)}\nchangetype: add\nobjectClass: inetOrgPerson\n{_lines(number)}\n"


def _lines(number: int) -> str:
    return "".join(f"{name}:: {_base64(value)}\n" for name, value in attributes(number).items())


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()

"""Made-up people for the benchmark: the same number is always the same person, with one value of each attribute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from contactsync.testing.names import CULTURES, OFFICES, TITLES
from contactsync.testing.people import ldif_record

TEAM_SIZE = 20
"""People in each of many small folders."""


def attributes(number: int) -> dict[str, str]:
    """Fourteen attributes of a person; with objectClass they are fifteen."""
    seed = blake2b(number.to_bytes(8), digest_size=16).digest()
    culture, office = CULTURES[seed[0] % len(CULTURES)], OFFICES[seed[1] % len(OFFICES)]
    given, family = (
        names[octet % len(names)].partition("|")[0]
        for names, octet in ((culture.given, seed[2]), (culture.family, seed[3]))
    )
    return {
        "uid": f"u{number:07d}",
        "cn": f"{given} {family}",
        "sn": family,
        "givenName": given,
        "mail": f"u{number:07d}@example.test",
        "telephoneNumber": f"{office.dial}{int.from_bytes(seed[8:12]) % 10**4:04d}",
        "mobile": f"+49 170 {int.from_bytes(seed[12:16]) % 10**7:07d}",
        "title": TITLES[seed[4] % len(TITLES)],
        "departmentNumber": str(seed[5] % 100),
        "o": "Example Trading plc",
        "street": f"{office.street} {seed[6]}",
        "l": office.city,
        "postalCode": office.postcode.replace("#", str(seed[7] % 10)),
        "st": office.region,
    }


def dn(number: int, base: str) -> str:
    """The DN of the person's entry."""
    return f"uid=u{number:07d},{base}"


def ldif(numbers: range, base: str) -> Iterator[str]:
    """The LDIF records of people, for slapadd."""
    for number in numbers:
        yield _record(number, base)


def half_numbered_ldif(numbers: range, base: str) -> Iterator[str]:
    """The same, with an employeeNumber for every second person."""
    for number in numbers:
        yield _record(number, base, **({"employeeNumber": [str(number)]} if number % 2 else {}))


def team_base(team: int, base: str) -> str:
    """The DN of a team's organizational unit."""
    return f"ou=t{team:06d},{base}"


def teams_ldif(teams: int, base: str) -> Iterator[str]:
    """The LDIF records of teams of twenty, each in an organizational unit of its own."""
    for team in range(teams):
        unit = team_base(team, base)
        yield ldif_record(unit, {"objectClass": ["organizationalUnit"], "ou": [f"t{team:06d}"]})
        yield from ldif(range(team * TEAM_SIZE, (team + 1) * TEAM_SIZE), unit)


def title_change(number: int, base: str, title: str) -> str:
    """The LDIF record that gives a person another title, for ldapmodify."""
    return ldif_record(dn(number, base), {"changetype": ["modify"], "replace": ["title"], "title": [title]})


@dataclass
class Staff:
    """The people below `base`, through rounds of changes to 1% of them: half edits, a quarter each adds and deletes.

    Each round deletes what the one before added; the first deletes the people with the highest numbers.
    """

    count: int
    base: str
    rounds: int = 0
    _titles: dict[int, str] = field(default_factory=dict)

    @property
    def quarter(self) -> int:
        """How many people a round adds, and how many it deletes; it edits twice as many."""
        return max(1, self.count // 400)

    def records(self) -> Iterator[tuple[str, dict[str, str]]]:
        """DN and attributes of everyone who is there now, sorted by DN."""
        for numbers in (range(self.count - self.quarter if self.rounds else self.count), self._added(self.rounds)):
            for number in numbers:
                edited = {"title": self._titles[number]} if number in self._titles else {}
                yield dn(number, self.base), attributes(number) | edited

    def change(self) -> str:
        """The next round, as LDIF for ldapmodify."""
        self.rounds += 1
        title = f"Round {self.rounds}"
        edited = [(self.rounds * 2 * self.quarter + step) % (self.count // 2) for step in range(2 * self.quarter)]
        self._titles |= dict.fromkeys(edited, title)
        deleted = self._added(self.rounds - 1) or range(self.count - self.quarter, self.count)
        records = [title_change(number, self.base, title) for number in edited]
        records += [_record(number, self.base, changetype=["add"]) for number in self._added(self.rounds)]
        records += [ldif_record(dn(number, self.base), {"changetype": ["delete"]}) for number in deleted]
        return "".join(records)

    def _added(self, round_number: int) -> range:
        end = self.count + round_number * self.quarter
        return range(max(self.count, end - self.quarter), end)


def _record(number: int, base: str, **first: list[str]) -> str:
    values = {name: [value] for name, value in attributes(number).items()}
    return ldif_record(dn(number, base), {**first, "objectClass": ["inetOrgPerson"], **values})

"""What happens in the directory during the demo, and what must come of it in the folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contactsync.testing.company import Company, Entry
from contactsync.testing.people import department_dn, make_people, make_photo

STAFF = "Staff"
SALES = "anna/Sales"

SALES_UNIT = "Sales"
SALES_FILTER = "(&(objectClass=inetOrgPerson)(mobile=*))"
SALES_MAPPING = {
    "preset": "none",
    "fields": {
        "display_name": "{sn}, {givenName}",
        "emails": "mail",
        "mobile_phones": "mobile",
        "work_phones": "telephoneNumber",
        "title": "title",
    },
}

_PLAIN_LETTERS = "\u0590"
"""Letters before this one are written from left to right, in cells of one width, by every terminal."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What must happen to one contact: `fields` are the new values, `...` is any other than before."""

    label: str
    action: str
    key: str
    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What was done to the directory. `lesson` is what to notice once it has arrived."""

    title: str
    text: str
    expected: Sequence[Expected]
    lesson: str = ""


class People:
    """Those to whom something happens, each person once; every scenario changes the directory when it is called."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._people = company.people()
        self._chosen: set[str] = set()
        self._moved: Entry | None = None
        self._left: Entry | None = None

    @property
    def scenarios(self) -> Sequence[Callable[[], Scenario]]:
        """All scenarios in their order."""
        return (self.join, self.edit, self.rename, self.move, self.leave, self.come_back)

    def join(self) -> Scenario:
        """Two people join; one of them belongs into both folders."""
        new = [person for person in make_people(1000, start=len(self._people)) if _is_complete(person.attributes)]
        first = self._company.add(next(person for person in new if is_in_sales(person.dn)))
        second = self._company.add(next(person for person in new if not is_in_sales(person.dn)))
        return Scenario(
            "Two people join",
            f"{first.name} joins Sales, {second.name} joins another unit.",
            [
                Expected(STAFF, "insert", first.uuid, first.name),
                Expected(STAFF, "insert", second.uuid, second.name),
                Expected(SALES, "insert", first.uuid, first.name),
            ],
            "Each folder takes what its own query finds, under its own schedule.",
        )

    def edit(self) -> Scenario:
        """A person gets another title, phone and photo."""
        who = self._choose(_sells, "mobile", "title", "telephoneNumber", "jpegPhoto", "displayName")
        title, phones, photo = "Head of Sales", ["+49 30 5550 4711"], make_photo("promoted")
        self._company.edit(who, {"title": [title], "telephoneNumber": phones, "jpegPhoto": [photo]})
        fields = {"title": title, "work_phones": phones}
        return Scenario(
            "An edit: title, phone and photo",
            f"{who.name} is promoted, and gets a desk phone and a new portrait.",
            [
                Expected(STAFF, "update", who.uuid, who.name, {**fields, "photo_digest": ...}),
                Expected(SALES, "update", who.uuid, who.name, fields),
            ],
            "Photos are stored in a table of their own, contact_photos; the mapping of anna's folder has no photo.",
        )

    def rename(self) -> Scenario:
        """A person gets another name, and with it another DN."""
        who = self._choose(
            lambda entry: is_in_sales(entry.dn) and r"\2C" in entry.rdn, "mobile", "displayName", "givenName"
        )
        given, number = who.text("givenName"), who.rdn.rpartition("(")[2]
        name = f"{given} Brontë"
        renamed = self._company.rename(who, rf"cn=Brontë\, {given} ({number}")
        common_name = next(value for value in renamed.texts("cn") if "," in value)
        self._company.edit(renamed, {"sn": ["Brontë"], "displayName": [name], "cn": [name, common_name]})
        names = {"display_name": name, "family_name": "Brontë", "source_dn": renamed.dn}
        sorted_name = {"display_name": f"Brontë, {given}", "source_dn": renamed.dn}
        return Scenario(
            "A rename",
            f"{who.name} marries, and is {name} from now on. In the directory this is a modrdn: it changes the entry's"
            " DN, which contains the name.",
            [
                Expected(STAFF, "update", who.uuid, name, names),
                Expected(SALES, "update", who.uuid, name, sorted_name),
            ],
            "It is the same contact with the same id: entries are recognised by entryUUID, not by name.",
        )

    def move(self) -> Scenario:
        """A person moves to another unit, which anna's folder does not take."""
        who = self._choose(_sells, "mobile", "displayName", "ou")
        self._moved = self._company.edit(self._company.move(who, "Finance"), {"ou": ["Finance"]})
        return Scenario(
            "A move",
            f"{who.name} moves from Sales to Finance, which is another branch of the tree.",
            [
                Expected(STAFF, "update", who.uuid, who.name, {"department": "Finance", "source_dn": self._moved.dn}),
                Expected(SALES, "delete", who.uuid, who.name),
            ],
            "Staff keeps the contact and its id. It leaves anna's folder, whose query finds Sales only.",
        )

    def leave(self) -> Scenario:
        """Three people leave."""
        self._left = self._choose(_sells, "mobile", "displayName", "mail")
        others = [self._choose(_works_elsewhere, "displayName") for _ in range(2)]
        for entry in (self._left, *others):
            self._company.delete(entry)
        return Scenario(
            "Three people leave",
            f"The entries of {self._left.name}, {others[0].name} and {others[1].name} are deleted.",
            [
                *(Expected(STAFF, "delete", entry.uuid, entry.name) for entry in (self._left, *others)),
                Expected(SALES, "delete", self._left.uuid, self._left.name),
            ],
        )

    def come_back(self) -> Scenario:
        """Both who left anna's folder return to it."""
        if self._moved is None or self._left is None:
            raise AssertionError
        moved, left = self._company.move(self._moved, SALES_UNIT), self._company.restore(self._left)
        moved = self._company.edit(moved, {"ou": [SALES_UNIT]})
        return Scenario(
            "Two come back",
            f"{left.name} was deleted by mistake and is restored from a backup; {moved.name} returns to Sales.",
            [
                Expected(STAFF, "insert", left.uuid, left.name),
                Expected(STAFF, "update", moved.uuid, moved.name, {"department": SALES_UNIT, "source_dn": moved.dn}),
                Expected(SALES, "insert", left.uuid, left.name),
                Expected(SALES, "insert", moved.uuid, moved.name),
            ],
            "Each contact has its former id again, so that references to it stay valid.",
        )

    def _choose(self, suits: Callable[[Entry], bool], *needed: str) -> Entry:
        who = next(
            entry
            for entry in self._people
            if entry.name not in self._chosen and entry.has(*needed) and _is_plain(entry.name) and suits(entry)
        )
        self._chosen.add(who.name)
        return who


def is_in_sales(dn: str) -> bool:
    """Whether an entry with this DN is in the unit that anna's folder takes."""
    return dn.endswith("," + department_dn(SALES_UNIT))


def _sells(entry: Entry) -> bool:
    return is_in_sales(entry.dn) and entry.rdn.startswith("uid=")


def _works_elsewhere(entry: Entry) -> bool:
    return not is_in_sales(entry.dn) and entry.rdn.startswith("uid=")


def _is_complete(attributes: Mapping[str, Sequence[str | bytes]]) -> bool:
    name = attributes.get("displayName", [""])[0]
    return bool(name) and _is_plain(str(name)) and {"mobile", "mail", "title"} <= attributes.keys()


def _is_plain(text: str) -> bool:
    return max(text) < _PLAIN_LETTERS

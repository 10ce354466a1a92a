"""What happens in the company while one watches: each scene changes the directory and says what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from contactsync.demo.assertions import Expected
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
"""Anna wants family names first and what she needs to call somebody, no more."""

_PLAIN_LETTERS = "\u0590"
"""Before this come scripts that every terminal writes from left to right in cells of one width."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something that was done to the directory. `moral` is what to notice once it has arrived."""

    title: str
    text: str
    expected: Sequence[Expected]
    moral: str = ""


class Cast:
    """Chooses who plays in the scenes, each person once, and plays them."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._people = company.people()
        self._played: set[str] = set()
        self._moved: Entry | None = None
        self._left: Entry | None = None

    @property
    def scenes(self) -> Sequence[Callable[[], Scenario]]:
        """The scenes in their order; each is played by calling it."""
        return (self.join, self.edit, self.rename, self.move, self.leave, self.come_back)

    def join(self) -> Scenario:
        """Two people join; one of them is for anna as well."""
        new = make_people(1000, start=len(self._people))
        people = [person for person in new if _is_complete(person.attributes)]
        seller = next(person for person in people if is_in_sales(person.dn))
        other = next(person for person in people if not is_in_sales(person.dn))
        first, second = self._company.add(seller), self._company.add(other)
        return Scenario(
            "Two people join",
            f"{first.name} joins Sales, {second.name} joins another unit.",
            [
                Expected(STAFF, "insert", first.uuid, first.name),
                Expected(STAFF, "insert", second.uuid, second.name),
                Expected(SALES, "insert", first.uuid, first.name),
            ],
            "Each folder takes what its own query asks for, under its own schedule.",
        )

    def edit(self) -> Scenario:
        """Somebody gets another title, phone and photo."""
        who = self._choose(_sells, "mobile", "title", "telephoneNumber", "jpegPhoto", "displayName")
        title, phones, photo = "Head of Sales", ["+49 30 5550 4711"], make_photo("promoted")
        self._company.edit(who, {"title": [title], "telephoneNumber": phones, "jpegPhoto": [photo]})
        fields = {"title": title, "work_phones": phones}
        return Scenario(
            "An edit: title, phone and photo",
            f"{who.name} is promoted, and gets a desk phone and a portrait that go with it.",
            [
                Expected(STAFF, "update", who.uuid, who.name, {**fields, "photo_digest": ...}),
                Expected(SALES, "update", who.uuid, who.name, fields),
            ],
            "Photos are kept apart in contact_photos; anna's folder does not ask for them.",
        )

    def rename(self) -> Scenario:
        """Somebody marries: another name, and with it another DN."""
        who = self._choose(
            lambda entry: is_in_sales(entry.dn) and r"\2C" in entry.rdn, "mobile", "displayName", "givenName"
        )
        given, number = who.text("givenName"), who.rdn.rpartition("(")[2]
        sorted_name = f"Brontë, {given}"
        name = f"{given} Brontë"
        renamed = self._company.rename(who, rf"cn=Brontë\, {given} ({number}")
        common_name = next(value for value in renamed.texts("cn") if "," in value)
        self._company.edit(renamed, {"sn": ["Brontë"], "displayName": [name], "cn": [name, common_name]})
        return Scenario(
            "A rename",
            f"{who.name} marries, and is {name} from now on. In the directory that is a modrdn: the entry's DN,"
            " which holds the name, becomes another one.",
            [
                Expected(
                    STAFF, "update", who.uuid, name,
                    {"display_name": name, "family_name": "Brontë", "source_dn": renamed.dn},
                ),
                Expected(SALES, "update", who.uuid, name, {"display_name": sorted_name, "source_dn": renamed.dn}),
            ],
            "It is the same contact with the same id: entries are recognised by entryUUID, not by name.",
        )  # fmt: skip

    def move(self) -> Scenario:
        """Somebody goes to another unit, and so out of anna's sight."""
        who = self._choose(_sells, "mobile", "displayName", "ou")
        self._moved = self._company.edit(self._company.move(who, "Finance"), {"ou": ["Finance"]})
        return Scenario(
            "A move",
            f"{who.name} goes from Sales to Finance, which is another branch of the tree.",
            [
                Expected(STAFF, "update", who.uuid, who.name, {"department": "Finance", "source_dn": self._moved.dn}),
                Expected(SALES, "delete", who.uuid, who.name),
            ],
            "Staff keeps the contact and its id. It is gone from anna's folder, whose query asks for Sales only.",
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
            "Everyone has the id that the contact had before, so that what points to it is right again.",
        )

    def _choose(self, suits: Callable[[Entry], bool], *needed: str) -> Entry:
        who = next(
            entry
            for entry in self._people
            if entry.name not in self._played and entry.has(*needed) and _is_plain(entry.name) and suits(entry)
        )
        self._played.add(who.name)
        return who


def is_in_sales(dn: str) -> bool:
    """Whether this is the DN of an entry in the unit that anna's folder takes."""
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

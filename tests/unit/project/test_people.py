"""Made-up people: always the same, and with everything that a mapping must handle."""

from __future__ import annotations

import re
import unicodedata

from contactsync.testing.people import make_people, make_person, make_photo, people_ldif

PEOPLE = list(make_people(1000))


def test_the_same_seed_gives_the_same_people() -> None:
    """The LDIF of one seed is always the same; another seed gives another one."""
    assert people_ldif(100, seed=1) == people_ldif(100, seed=1)
    assert people_ldif(100, seed=1) != people_ldif(100, seed=2)


def test_a_person_does_not_depend_on_the_others() -> None:
    """Number 500 is the same alone, so a directory can grow."""
    assert make_person(500) == PEOPLE[500]


def test_distinguished_names_are_unique_and_escaped() -> None:
    """A thousand people have a thousand DNs, among them escaped commas, quotes and letters beyond the BMP."""
    names = [person.dn for person in PEOPLE]
    assert len({name.casefold() for name in names}) == len(names)
    assert {len(re.split(r"(?<!\\),", name)) for name in names} == {5}
    assert all(any(sign in name for name in names) for sign in ("\\,", '\\"', "\\\\", "\\+", "\N{FOX FACE}"))


def test_an_entry_holds_the_value_of_its_own_name() -> None:
    """The naming attribute is among the attributes, as X.501 requires."""
    for person in PEOPLE:
        attribute = person.dn.partition("=")[0]
        value = person.dn.partition("=")[2]
        assert any(value.replace("\\", "").startswith(str(v).replace("\\", "")) for v in person.attributes[attribute])


def test_managers_exist() -> None:
    """Each manager is a person of the directory."""
    everyone = {person.dn for person in PEOPLE}
    managers = {manager for person in PEOPLE for manager in person.attributes.get("manager", [])}
    assert len(managers) > 50
    assert managers <= everyone


def test_people_are_as_uneven_as_real_ones() -> None:
    """There are photos that differ, several emails and phones, entries with gaps, and names in many scripts."""
    photos = [photo for person in PEOPLE for photo in person.attributes.get("jpegPhoto", [])]
    assert len(set(photos)) == len(photos) > 200
    assert max(len(person.attributes.get("mail", [])) for person in PEOPLE) == 3
    assert max(len(person.attributes.get("telephoneNumber", [])) for person in PEOPLE) == 2
    assert sum(set(person.attributes) <= {"objectClass", "cn", "sn", "uid"} for person in PEOPLE) > 10
    letters = {letter for person in PEOPLE for letter in str(person.attributes["cn"][0]) if letter.isalpha()}
    assert len({unicodedata.name(letter).split()[0] for letter in letters}) >= 14


def test_mail_addresses_are_ascii() -> None:
    """Mail is an IA5 string in LDAP (RFC 4524), whatever script the name is in."""
    mails = [str(mail) for person in PEOPLE for mail in person.attributes.get("mail", [])]
    assert all(mail.isascii() and ".." not in mail and not mail.startswith(".") for mail in mails)


def test_a_photo_is_framed_as_jpeg() -> None:
    """A photo begins and ends with JPEG's markers and carries its text in a comment segment of the right length."""
    photo = make_photo("Zoë")
    assert photo.startswith(b"\xff\xd8\xff\xe0")
    assert photo.endswith(b"\xff\xd9")
    assert b"\xff\xfe\x00\x06Zo\xc3\xab\xff\xdb" in photo

"""Made-up people for a directory: the same seed gives the same people, as inetOrgPerson (RFC 2798) entries."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from random import Random

from ldap3.utils.dn import escape_rdn

from contactsync.testing.names import CULTURES, DEPARTMENTS, OFFICES, TITLES, Office

DEFAULT_SEED = 2024

_TRANSLITERATION = str.maketrans(
    {"ß": "ss", "ł": "l", "đ": "d", "ø": "oe", "æ": "ae", "å": "aa", "þ": "th", "ð": "d", "ı": "i"}  # noqa: RUF001 -- Turkish
)

# The smallest valid grey picture: JFIF header, flat quantisation table, 8 by 8 pixels in one component, a DC and an AC
# code table of one code each, and two bits of image data.
_JPEG_START = bytes.fromhex("ffd8ffe000104a46494600010100000100010000")
_JPEG_REST = (
    bytes.fromhex("ffdb004300")
    + b"\x01" * 64
    + bytes.fromhex("ffc0000b080008000801011100")
    + bytes.fromhex("ffc400140001" + "00" * 16)
    + bytes.fromhex("ffc400141001" + "00" * 16)
    + bytes.fromhex("ffda0008010100003f003fffd9")
)


@dataclass(frozen=True, slots=True)
class Person:
    """One entry: its DN and all its attributes, text or octets, as ldap3's `add` takes them."""

    dn: str
    attributes: dict[str, list[str | bytes]]


@dataclass(frozen=True, slots=True)
class _Identity:
    """What determines a person's DN, by which others can name the person as their manager."""

    language: str
    given: str
    family: str
    full: str
    mailbox: str
    common_names: list[str]
    department: str
    dn: str


def people_ldif(count: int, *, seed: int = DEFAULT_SEED, suffix: str = "dc=example,dc=test") -> str:
    """LDIF (RFC 2849) of all departments and `count` people below `ou=people,SUFFIX`."""
    units = (ldif_record(department_dn(name, suffix=suffix), _unit(name)) for name in DEPARTMENTS)
    people = (ldif_record(person.dn, person.attributes) for person in make_people(count, seed=seed, suffix=suffix))
    return "".join(chain(units, people))


def ldif_record(dn: str, attributes: Mapping[str, Iterable[str | bytes]]) -> str:
    """The LDIF record of an entry."""
    lines = [_ldif_line("dn", dn)]
    lines += [_ldif_line(name, value) for name, values in attributes.items() for value in values]
    return "\n".join(lines) + "\n\n"


def make_people(
    count: int, *, start: int = 0, seed: int = DEFAULT_SEED, suffix: str = "dc=example,dc=test"
) -> Iterator[Person]:
    """`count` people from number `start` on, without their units."""
    return (make_person(index, seed=seed, suffix=suffix) for index in range(start, start + count))


def make_person(index: int, *, seed: int = DEFAULT_SEED, suffix: str = "dc=example,dc=test") -> Person:
    """Person number `index` (from 0), who depends on the seed and the number only."""
    who = _identity(index, seed, suffix)
    attributes: dict[str, list[str | bytes]] = {
        "objectClass": ["inetOrgPerson"],
        "cn": [*who.common_names],
        "sn": [who.family],
        "uid": [_uid(index)],
    }
    random = Random(f"{seed}/{index}/attributes")  # noqa: S311 -- repeatable, not secret
    # One in twenty is an incomplete entry, with just what the schema requires.
    if random.random() >= 0.05:  # noqa: PLR2004 -- the share just named
        attributes |= _name_attributes(who, random)
        attributes |= _contact_attributes(index, who, suffix, random)
        attributes |= _work_attributes(index, who, seed, suffix, random)
        attributes |= _address_attributes(random)
    return Person(who.dn, {name: values for name, values in attributes.items() if values})


def department_dn(department: str, *, suffix: str = "dc=example,dc=test") -> str:
    """The DN of an organisational unit."""
    return f"ou={escape_rdn(department)},ou=people,{suffix}"


def make_photo(text: str) -> bytes:
    """A valid JPEG of 8 by 8 grey pixels with `text` as its comment: different texts give different photos."""
    comment = text.encode()
    return _JPEG_START + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + _JPEG_REST


def _uid(index: int) -> str:
    return f"u{index:06d}"


def _identity(index: int, seed: int, suffix: str) -> _Identity:
    random = Random(f"{seed}/{index}/identity")  # noqa: S311 -- repeatable, not secret
    culture = random.choice(CULTURES)
    given, _, given_ascii = random.choice(culture.given).partition("|")
    family, _, family_ascii = random.choice(culture.family).partition("|")
    department = random.choice(DEPARTMENTS)
    full = f"{family} {given}" if culture.family_first else f"{given} {family}"
    unusual = _unusual_name(index, given, family)
    rdn = f"cn={escape_rdn(unusual)}" if unusual else f"uid={_uid(index)}"
    return _Identity(
        language=culture.language,
        given=given,
        family=family,
        full=full,
        mailbox=f"{given_ascii or _ascii(given)}.{family_ascii or _ascii(family)}.{index}",
        common_names=[full, unusual] if unusual else [full],
        department=department,
        dn=f"{rdn},{department_dn(department, suffix=suffix)}",
    )


def _unusual_name(index: int, given: str, family: str) -> str | None:
    """For four people in fifty, a name that a DN must escape; the number makes it unique."""
    unusual = {
        7: f"{family}, {given} ({index})",
        17: f'{given} "{given[0]}+{index}" {family}',
        27: f"{given} \N{FOX FACE} {family} #{index}",
        37: f"{given} \\ {family}; <{index}>",
    }
    return unusual.get(index % 50)


def _name_attributes(who: _Identity, random: Random) -> dict[str, list[str | bytes]]:
    return {
        "givenName": [who.given],
        "displayName": _sometimes(random, 0.9, who.full),
        "initials": _sometimes(random, 0.3, who.given[0] + who.family[0]),
        "preferredLanguage": _sometimes(random, 0.8, who.language),
    }


def _contact_attributes(index: int, who: _Identity, suffix: str, random: Random) -> dict[str, list[str | bytes]]:
    domain = ".".join(part.partition("=")[2] for part in suffix.split(","))
    return {
        "mail": [
            *_sometimes(random, 0.95, f"{who.mailbox}@{domain}"),
            *_sometimes(random, 0.3, f"{_uid(index)}@{domain}"),
            *_sometimes(random, 0.1, f"{who.mailbox}@mail.{domain}"),
        ],
        "homePhone": _sometimes(random, 0.2, f"+44 20 7946 {random.randrange(10_000):04d}"),
        "mobile": [
            *_sometimes(random, 0.7, f"+44 7700 900{random.randrange(1000):03d}"),
            *_sometimes(random, 0.1, f"+49 152 555{random.randrange(100_000):05d}"),
        ],
        "pager": _sometimes(random, 0.05, f"+1 202 555-{random.randrange(10_000):04d}"),
        "jpegPhoto": [make_photo(f"{_uid(index)} {who.mailbox}")] if random.random() < 0.4 else [],  # noqa: PLR2004
        "labeledURI": _sometimes(random, 0.2, f"https://people.{domain}/{_uid(index)} Home page"),
    }


def _work_attributes(
    index: int, who: _Identity, seed: int, suffix: str, random: Random
) -> dict[str, list[str | bytes]]:
    manager = _identity(index // 9, seed, suffix).dn if index else ""
    return {
        "o": _sometimes(random, 0.9, "Example Trading plc"),
        "ou": [who.department],
        "departmentNumber": _sometimes(random, 0.5, f"D{random.randrange(1, 40):02d}"),
        "employeeNumber": [str(100_000 + index)],
        "employeeType": _sometimes(random, 0.6, random.choice(("permanent", "contractor", "trainee"))),
        "title": _sometimes(random, 0.85, random.choice(TITLES)),
        "manager": _sometimes(random, 0.9, manager),
        "description": _sometimes(random, 0.15, f"Joined in {random.randrange(1990, 2025)}.\nSpeaks {who.language}."),
    }


def _address_attributes(random: Random) -> dict[str, list[str | bytes]]:
    office = random.choice(OFFICES)
    street = f"{office.street} {random.randrange(1, 200)}"
    postcode = _digits(office.postcode, random)
    lines = ["Example Trading plc", street, f"{postcode} {office.city}"]
    return {
        "telephoneNumber": [_extension(office, random) for _ in range(random.choice((0, 1, 1, 1, 2)))],
        "facsimileTelephoneNumber": _sometimes(random, 0.2, _extension(office, random)),
        "street": [street],
        "l": [office.city],
        "st": _sometimes(random, 0.7, office.region),
        "postalCode": _sometimes(random, 0.9, postcode),
        # Lines are separated by a dollar sign (RFC 4517, section 3.3.28).
        "postalAddress": _sometimes(random, 0.6, "$".join(lines)),
        "physicalDeliveryOfficeName": _sometimes(random, 0.7, office.city),
        "roomNumber": _sometimes(random, 0.5, f"{random.randrange(1, 9)}.{random.randrange(100):02d}"),
    }


def _extension(office: Office, random: Random) -> str:
    return f"{office.dial}{random.randrange(10_000):04d}"


def _digits(template: str, random: Random) -> str:
    return "".join(str(random.randrange(10)) if letter == "#" else letter for letter in template)


def _sometimes(random: Random, share: float, value: str) -> list[str | bytes]:
    """The value for this share of the people; the random numbers used are the same in both cases."""
    return [value] if random.random() < share and value else []


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.lower().translate(_TRANSLITERATION))
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())


def _unit(department: str) -> dict[str, list[str | bytes]]:
    return {"objectClass": ["organizationalUnit"], "ou": [department]}


def _ldif_line(name: str, value: str | bytes) -> str:
    octets = value.encode() if isinstance(value, str) else value
    # SAFE-STRING (RFC 2849): ASCII without NUL and line ends that does not start with a space, colon or less-than sign.
    # A space at the end would be hard to see.
    safe = octets.isascii() and not set(octets) & set(b"\0\r\n")
    if safe and octets[:1] not in {b"", b" ", b":", b"<"} and octets[-1:] != b" ":
        return f"{name}: {octets.decode()}"
    return f"{name}:: {base64.b64encode(octets).decode()}"

"""The presets: the mappings of people in an LDAP directory and in Active Directory.

Each is in the form of a definition's mapping. Of two attributes for a field, the more readable one comes first: `ou`
before `departmentNumber`, which is often only a number, and `co` (the country's name) before `c` (its code).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from contactsync.mapping.entry_filter import EntryFilter, active_directory_filter


class Preset(NamedTuple):
    """The filter for people, the attributes of the identity, and the sources of each field."""

    filter: EntryFilter
    identity: tuple[str, ...]
    fields: dict[str, Any]


_COMMON: dict[str, Any] = {
    "name_prefix": "personalTitle",
    "given_name": "givenName",
    "family_name": "sn",
    "name_suffix": "generationQualifier",
    "initials": "initials",
    "title": "title",
    "manager": {"attribute": "manager", "as": "rdn"},
    "po_box": "postOfficeBox",
    "city": "l",
    "region": "st",
    "postal_code": "postalCode",
    "languages": "preferredLanguage",
}
"""The fields with the same source in both presets."""

INET_ORG_PERSON = Preset(
    # Samba's machine accounts are persons; their uid ends with a dollar sign. A negation may contain only attributes
    # and classes that every server knows: with an unknown one the whole filter is Undefined and finds nothing.
    filter=EntryFilter("(&(|(objectClass=inetOrgPerson)(objectClass=person))(!(uid=*$)))"),
    # nsUniqueId first: at 389 Directory Server all entries have it, while imported entries have no entryUUID.
    identity=("nsUniqueId", "entryUUID", "ipaUniqueID", "GUID"),
    # RFC 2798, RFC 4519, RFC 4524, and RFC 2079 for labeledURI.
    fields={
        **_COMMON,
        "display_name": ["displayName", "cn"],
        "emails": "mail",
        "work_phones": "telephoneNumber",
        "mobile_phones": "mobile",
        "home_phones": "homePhone",
        "fax_numbers": {"attribute": "facsimileTelephoneNumber", "as": "fax"},
        "pagers": "pager",
        "organization": "o",
        "department": ["ou", "departmentNumber"],
        "employee_number": "employeeNumber",
        "assistant": {"attribute": "secretary", "as": "rdn"},
        "office": ["roomNumber", "physicalDeliveryOfficeName"],
        "street": ["street", {"attribute": "postalAddress", "as": "address"}],
        "country": ["co", "c"],
        "home_address": {"attribute": "homePostalAddress", "as": "address"},
        "websites": {"attribute": "labeledURI", "as": "uri"},
        "notes": "description",
        "photo": "jpegPhoto",
    },
)

ACTIVE_DIRECTORY = Preset(
    filter=active_directory_filter({}),
    identity=("objectGUID",),
    fields={
        **_COMMON,
        "display_name": ["displayName", "cn", "name"],
        "additional_names": "middleName",
        "emails": [{"attribute": "proxyAddresses", "as": "smtp"}, "mail"],
        "work_phones": ["telephoneNumber", "otherTelephone"],
        "mobile_phones": ["mobile", "otherMobile"],
        "home_phones": ["homePhone", "otherHomePhone"],
        "fax_numbers": ["facsimileTelephoneNumber", "otherFacsimileTelephoneNumber"],
        "pagers": ["pager", "otherPager"],
        "ip_phones": ["ipPhone", "otherIpPhone"],
        "organization": "company",
        "department": "department",
        "employee_number": ["employeeID", "employeeNumber"],
        "assistant": {"attribute": "assistant", "as": "rdn"},
        "office": "physicalDeliveryOfficeName",
        "street": "streetAddress",
        "country": "co",
        "home_address": "homePostalAddress",
        "websites": ["wWWHomePage", "url"],
        "notes": "info",
        "photo": "thumbnailPhoto",
    },
)

PRESETS = {"inetOrgPerson": INET_ORG_PERSON, "activeDirectory": ACTIVE_DIRECTORY}

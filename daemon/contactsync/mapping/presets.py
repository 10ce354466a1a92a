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


INET_ORG_PERSON = Preset(
    # Samba's machine accounts are persons; their uid ends with a dollar sign. A negation may contain only attributes
    # and classes that every server knows: with an unknown one the whole filter is Undefined and finds nothing.
    filter=EntryFilter("(&(|(objectClass=inetOrgPerson)(objectClass=person))(!(uid=*$)))"),
    # nsUniqueId first: at 389 Directory Server all entries have it, while imported entries have no entryUUID.
    identity=("nsUniqueId", "entryUUID", "ipaUniqueID", "GUID"),
    # RFC 2798, RFC 4519, RFC 4524, and RFC 2079 for labeledURI.
    fields={
        "display_name": ["displayName", "cn"],
        "name_prefix": "personalTitle",
        "given_name": "givenName",
        "family_name": "sn",
        "name_suffix": "generationQualifier",
        "initials": "initials",
        "emails": "mail",
        "work_phones": "telephoneNumber",
        "mobile_phones": "mobile",
        "home_phones": "homePhone",
        "fax_numbers": {"attribute": "facsimileTelephoneNumber", "as": "fax"},
        "pagers": "pager",
        "organization": "o",
        "department": ["ou", "departmentNumber"],
        "title": "title",
        "employee_number": "employeeNumber",
        "manager": {"attribute": "manager", "as": "rdn"},
        "assistant": {"attribute": "secretary", "as": "rdn"},
        "office": ["roomNumber", "physicalDeliveryOfficeName"],
        "street": ["street", {"attribute": "postalAddress", "as": "address"}],
        "po_box": "postOfficeBox",
        "city": "l",
        "region": "st",
        "postal_code": "postalCode",
        "country": ["co", "c"],
        "home_address": {"attribute": "homePostalAddress", "as": "address"},
        "websites": {"attribute": "labeledURI", "as": "uri"},
        "languages": "preferredLanguage",
        "notes": "description",
        "photo": "jpegPhoto",
    },
)

ACTIVE_DIRECTORY = Preset(
    filter=active_directory_filter({}),
    identity=("objectGUID",),
    fields={
        "display_name": ["displayName", "cn", "name"],
        "name_prefix": "personalTitle",
        "given_name": "givenName",
        "additional_names": "middleName",
        "family_name": "sn",
        "name_suffix": "generationQualifier",
        "initials": "initials",
        "emails": [{"attribute": "proxyAddresses", "as": "smtp"}, "mail"],
        "work_phones": ["telephoneNumber", "otherTelephone"],
        "mobile_phones": ["mobile", "otherMobile"],
        "home_phones": ["homePhone", "otherHomePhone"],
        "fax_numbers": ["facsimileTelephoneNumber", "otherFacsimileTelephoneNumber"],
        "pagers": ["pager", "otherPager"],
        "ip_phones": ["ipPhone", "otherIpPhone"],
        "organization": "company",
        "department": "department",
        "title": "title",
        "employee_number": ["employeeID", "employeeNumber"],
        "manager": {"attribute": "manager", "as": "rdn"},
        "assistant": {"attribute": "assistant", "as": "rdn"},
        "office": "physicalDeliveryOfficeName",
        "street": "streetAddress",
        "po_box": "postOfficeBox",
        "city": "l",
        "region": "st",
        "postal_code": "postalCode",
        "country": "co",
        "home_address": "homePostalAddress",
        "websites": ["wWWHomePage", "url"],
        "languages": "preferredLanguage",
        "notes": "info",
        "photo": "thumbnailPhoto",
    },
)

PRESETS = {"inetOrgPerson": INET_ORG_PERSON, "activeDirectory": ACTIVE_DIRECTORY}

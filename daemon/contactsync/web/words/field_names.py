"""The fields of a contact in the words of people."""

from __future__ import annotations

from contactsync.fields import EXTRA_PREFIX
from contactsync.web.language import gettext


def field_words(name: str) -> str:
    """The field in the language of the request; a field of the mapping's own has its name."""
    if name.startswith(EXTRA_PREFIX):
        return name.removeprefix(EXTRA_PREFIX)
    return _words().get(name) or name.replace("_", " ")


def _words() -> dict[str, str]:
    _ = gettext
    return {
        "display_name": _("Name"),
        "name_prefix": _("Name prefix"),
        "given_name": _("Given name"),
        "additional_names": _("Additional names"),
        "family_name": _("Family name"),
        "name_suffix": _("Name suffix"),
        "nickname": _("Nickname"),
        "initials": _("Initials"),
        "emails": _("Email"),
        "mail": _("Email"),
        "work_phones": _("Work phone"),
        "mobile_phones": _("Mobile phone"),
        "home_phones": _("Home phone"),
        "other_phones": _("Other phone"),
        "fax_numbers": _("Fax"),
        "pagers": _("Pager"),
        "ip_phones": _("IP phone"),
        "organization": _("Organization"),
        "department": _("Department"),
        "title": _("Title"),
        "employee_number": _("Employee number"),
        "manager": _("Manager"),
        "assistant": _("Assistant"),
        "office": _("Office"),
        "street": _("Street"),
        "po_box": _("PO box"),
        "city": _("City"),
        "region": _("Region"),
        "postal_code": _("Postal code"),
        "country": _("Country"),
        "home_address": _("Home address"),
        "websites": _("Website"),
        "languages": _("Language"),
        "notes": _("Notes"),
        "photo": _("Photo"),
        "photo_digest": _("Photo"),
        "extra": _("Other fields"),
        "dn": _("Directory entry"),
        "source_dn": _("Directory entry"),
    }

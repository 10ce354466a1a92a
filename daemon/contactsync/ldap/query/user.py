"""The user field of a definition: the name that a simple bind sends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from contactsync.errors import DefinitionError, QueryError
from contactsync.ldap.dn import canonical_dn
from contactsync.ldap.query.text import shown, tidy

USER_FORMS = (
    "A user is a distinguished name (CN=Reader,OU=Services,DC=example,DC=com), EXAMPLE\\reader or reader@example.com; "
    "leave it empty to ask anonymously."
)

# What Active Directory refuses in sAMAccountName and in NetBIOS domain names ([MS-SAMR], section 3.1.1.6).
_NOT_IN_NAMES = re.escape('"/\\[]:;|=,+*?<>@')
_DOMAIN_USER = re.compile(rf"[^\s{_NOT_IN_NAMES}]+\\[^{_NOT_IN_NAMES}]+")
_USER_AT_DOMAIN = re.compile(r"[^\s@\\]+@[^\s@\\]+")


class UserKind(StrEnum):
    """How a user is named."""

    DN = "dn"
    DOMAIN_USER = "domain-user"
    USER_AT_DOMAIN = "user-at-domain"


@dataclass(frozen=True, slots=True)
class BindUser:
    """Who binds: `text` is sent as it is in the name of a simple bind (RFC 4513, section 5.1)."""

    kind: UserKind
    text: str


def parse_user(text: str | None) -> BindUser | None:
    r"""Read a user field: a DN, `DOMAIN\user` or `user@domain`; None, for anonymous, when it is empty.

    `DOMAIN\user` and `user@domain` are Active Directory's ([MS-ADTS], section 5.1.1.1.1). DefinitionError when it is
    none of these.
    """
    try:
        return _parse(tidy(text or ""))
    except QueryError as error:
        raise DefinitionError(f"The user is not understood: {error.message}", hint=USER_FORMS) from None


def _parse(text: str) -> BindUser | None:
    if not text:
        return None
    if _DOMAIN_USER.fullmatch(text):
        return BindUser(UserKind.DOMAIN_USER, text)
    if "=" in text:
        return BindUser(UserKind.DN, canonical_dn(text))
    if _USER_AT_DOMAIN.fullmatch(text):
        return BindUser(UserKind.USER_AT_DOMAIN, text)
    raise QueryError(f"{shown(text)} names no domain.")

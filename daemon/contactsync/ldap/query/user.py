"""Parses the user of a definition: the name in a simple bind."""

from __future__ import annotations

import re
from functools import lru_cache

from contactsync.errors import DefinitionError, QueryError
from contactsync.ldap.dn import canonical_dn
from contactsync.ldap.query.text import shown, tidy

USER_FORMS = (
    "A user is a distinguished name (CN=Reader,OU=Services,DC=example,DC=com), EXAMPLE\\reader or reader@example.com; "
    "leave it empty for an anonymous bind."
)

# Characters that Active Directory refuses in sAMAccountName and NetBIOS domain names ([MS-SAMR], section 3.1.1.6).
_NOT_IN_NAMES = re.escape('"/\\[]:;|=,+*?<>@')
_DOMAIN_USER = re.compile(rf"[^\s{_NOT_IN_NAMES}]+\\[^{_NOT_IN_NAMES}]+")
_USER_AT_DOMAIN = re.compile(r"[^\s@\\]+@[^\s@\\]+")


def parse_user(text: str | None) -> str | None:
    r"""The name for the simple bind (RFC 4513, section 5.1); None, for an anonymous bind, if the text is empty.

    A user is a DN, or `DOMAIN\user` or `user@domain` for Active Directory ([MS-ADTS], section 5.1.1.1.1). Raises
    DefinitionError.
    """
    try:
        return _parse(tidy(text or ""))
    except QueryError as error:
        raise DefinitionError(f"The user is not valid: {error.message}", hint=USER_FORMS) from None


@lru_cache(maxsize=256)
def _parse(text: str) -> str | None:
    if not text:
        return None
    if "=" in text and not _DOMAIN_USER.fullmatch(text):
        return canonical_dn(text)
    if _DOMAIN_USER.fullmatch(text) or _USER_AT_DOMAIN.fullmatch(text):
        return text
    raise QueryError(f"{shown(text)} names no domain.")

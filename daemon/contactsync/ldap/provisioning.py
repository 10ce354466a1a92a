"""FreeIPA's people who have left (preserved) or have not begun (staged).

They are persons like all others, in a subtree of their own. No filter finds them by their DN, so a run drops them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.ldap import dn
from contactsync.ldap.protocol.entry import decode_entry

if TYPE_CHECKING:
    from contactsync.ldap.rootdse import RootDse

_PROVISIONING = "cn=provisioning"
_OCTETS = b"provisioning"


def provisioning_base(root_dse: RootDse, base: str) -> str | None:
    """The subtree of the preserved and staged people below a base; None for other products and for a base inside it."""
    if not root_dse.is_389_directory_server:
        return None
    context = root_dse.naming_context_of(base) or root_dse.default_naming_context
    if context is None or dn.is_within(base, f"{_PROVISIONING},{context}"):
        return None
    return f"cn=accounts,{_PROVISIONING},{context}"


def is_provisioned(octets: bytes, subtree: str) -> bool:
    """Whether an entry, given as the octets of its protocolOp, is in the subtree."""
    # Most entries do not have the word, and are not decoded.
    return _OCTETS in octets.lower() and dn.is_within(decode_entry(octets).dn, subtree)

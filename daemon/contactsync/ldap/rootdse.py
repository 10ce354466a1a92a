"""The root DSE (RFC 4512, section 5.1): a server's own description."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from contactsync.errors import BaseNotFound, ServerNotSynchronized
from contactsync.ldap import dn
from contactsync.ldap.connection.transport import Wire
from contactsync.ldap.lookup import search_all
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.ldap.protocol.requests import ANY_ENTRY, PAGED_RESULTS, search_op
from contactsync.ldap.protocol.results import SUCCESS, FailedSearch, search_error
from contactsync.ldap.query.query import Scope
from contactsync.ldap.schema import Schema, read_schema
from contactsync.text import quoted

_ATTRIBUTES = (
    "namingContexts",
    "defaultNamingContext",
    "schemaNamingContext",
    "subschemaSubentry",
    "supportedControl",
    "supportedCapabilities",
    "supportedExtension",
    "vendorName",
    "vendorVersion",
    "objectClass",
    "isSynchronized",
)
_ACTIVE_DIRECTORY = {"1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1851"}
"""LDAP_CAP_ACTIVE_DIRECTORY_OID and _ADAM_OID ([MS-ADTS], section 3.1.1.3.4.3): a domain controller, or AD LDS."""

_OPEN_LDAP = "OpenLDAProotDSE"
_DIRECTORY_389 = "389 Project"
_CATALOGUE_PORTS = {3268, 3269}
"""Ports of the global catalogue, whose root DSE is that of the domain controller."""


@dataclass(frozen=True)
class RootDse:
    """The attributes that are used here, empty if the server does not show them."""

    naming_contexts: tuple[str, ...] = ()
    default_naming_context: str | None = None
    schema_naming_context: str | None = None
    subschema_subentry: str | None = None
    supported_controls: frozenset[str] = frozenset()
    supported_capabilities: frozenset[str] = frozenset()
    supported_extensions: frozenset[str] = frozenset()
    vendor_name: str | None = None
    vendor_version: str | None = None
    object_classes: frozenset[str] = frozenset()
    schema: Schema | None = None
    """Active Directory's schema; None for other servers, and if it is hidden from this user."""

    @property
    def is_active_directory(self) -> bool:
        """True for Microsoft's servers and for Samba.

        Gateways list the capability too; a domain controller and AD LDS also name the context of their schema.
        """
        return not _ACTIVE_DIRECTORY.isdisjoint(self.supported_capabilities) and self.schema_naming_context is not None

    @property
    def is_389_directory_server(self) -> bool:
        """True for 389 Directory Server, and FreeIPA, which uses it."""
        return self.vendor_name == _DIRECTORY_389

    @property
    def subschema(self) -> str:
        """The DN of the schema (RFC 4512, section 4.2); slapd's if the server names none."""
        return self.subschema_subentry or "cn=Subschema"

    @property
    def is_openldap(self) -> bool:
        """True for OpenLDAP's slapd: it has no vendor name, but an object class of its own."""
        return _OPEN_LDAP in self.object_classes and not self.vendor_name

    @property
    def product(self) -> str | None:
        """The name of the product; None if it is unknown."""
        named = " ".join(filter(None, (self.vendor_name, self.vendor_version)))
        if self.is_active_directory:
            return f"Active Directory ({named})" if named else "Active Directory"
        return named or ("OpenLDAP" if self.is_openldap else None)

    @property
    def supports_paging(self) -> bool:
        """Whether the server lists the control of RFC 2696."""
        return PAGED_RESULTS in self.supported_controls

    def naming_context_of(self, base: str) -> str | None:
        """The innermost naming context of a base; None if the server names none."""
        return max((name for name in self.naming_contexts if dn.is_within(base, name)), key=len, default=None)

    def default_base(self) -> str:
        """The base for a definition without one; raises BaseNotFound if the server does not suggest one."""
        if self.default_naming_context:
            return self.default_naming_context
        if len(self.naming_contexts) == 1:
            return self.naming_contexts[0]
        names = " and ".join(quoted(name) for name in self.naming_contexts)
        offer = f"offers several search bases: {names}" if names else "names no search base"
        raise BaseNotFound(
            f"The server {offer}.",
            hint="Put one into the query, for example ldap://server/DC=example,DC=com;"
            " or search from the empty base, where the server allows it: --base ''.",
        )


def is_catalogue(server: str) -> bool:
    """Whether a server's URL is that of a global catalogue."""
    return urlsplit(server).port in _CATALOGUE_PORTS


def read_root_dse(wire: Wire) -> RootDse:
    """Read the root DSE, and a part of the schema from Active Directory; a server may hide both from this user.

    Some gateways have no root DSE and answer with an error. Raises DirectoryError for one that may pass, and
    ServerNotSynchronized for a domain controller that may not have all entries yet ([MS-ADTS], 3.1.1.3.2.19).
    """
    entries, result = search_all(wire, search_op("", Scope.BASE, ANY_ENTRY, _ATTRIBUTES))
    if result.code != SUCCESS:
        error = search_error(result, FailedSearch(server=wire.server, base="", filter=ANY_ENTRY, entries=len(entries)))
        if error.retryable:
            raise error
        return RootDse()
    raw = decode_entry(entries[-1]).attributes if entries else {}
    attributes = {name: list(map(_text, values)) for name, values in raw.items()}
    root_dse = _root_dse(attributes)
    if root_dse.is_active_directory and attributes.get("issynchronized") == ["FALSE"]:
        raise ServerNotSynchronized(
            f"The domain controller {wire.server} has not finished its replication, so entries may be missing.",
            hint="Wait for the end of its replication, or name another domain controller in the query.",
        )
    return _with_schema(wire, root_dse)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _with_schema(wire: Wire, root_dse: RootDse) -> RootDse:
    context = root_dse.schema_naming_context
    if context is None or not root_dse.is_active_directory:
        return root_dse
    return replace(root_dse, schema=read_schema(wire, context, global_catalogue=is_catalogue(wire.server)))


def _root_dse(attributes: dict[str, list[str]]) -> RootDse:
    def first(name: str) -> str | None:
        return next(iter(attributes.get(name, ())), None)

    return RootDse(
        # The empty name is OpenLDAP's own root, which has no people.
        naming_contexts=tuple(name for name in attributes.get("namingcontexts", ()) if name),
        default_naming_context=first("defaultnamingcontext"),
        schema_naming_context=first("schemanamingcontext"),
        subschema_subentry=first("subschemasubentry"),
        supported_controls=frozenset(attributes.get("supportedcontrol", ())),
        supported_capabilities=frozenset(attributes.get("supportedcapabilities", ())),
        supported_extensions=frozenset(attributes.get("supportedextension", ())),
        vendor_name=first("vendorname"),
        vendor_version=first("vendorversion"),
        object_classes=frozenset(attributes.get("objectclass", ())),
    )

"""The root DSE (RFC 4512, section 5.1): what a server says about itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from contactsync.errors import BaseNotFound, QueryError
from contactsync.ldap import dn
from contactsync.ldap.connection.transport import Wire
from contactsync.ldap.lookup import read_texts
from contactsync.ldap.protocol.requests import PAGED_RESULTS
from contactsync.ldap.schema import Schema, read_schema

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
)
_ACTIVE_DIRECTORY = {"1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1851"}
"""LDAP_CAP_ACTIVE_DIRECTORY_OID and _ADAM_OID (MS-ADTS, section 3.1.1.3.4.3): a domain controller, or AD LDS."""

_OPEN_LDAP = "OpenLDAProotDSE"
_DIRECTORY_389 = "389 Project"
_CATALOGUE_PORTS = {3268, 3269}
"""Of the global catalogue, plain and over TLS; its root DSE is that of the domain controller."""


@dataclass(frozen=True)
class RootDse:
    """The attributes that matter to us; all empty when the server shows none."""

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
    """What Active Directory shows of its schema to this user; None at other servers, and where it shows nothing."""

    @property
    def is_active_directory(self) -> bool:
        """True for Microsoft's servers and those that act as one."""
        return not _ACTIVE_DIRECTORY.isdisjoint(self.supported_capabilities)

    @property
    def is_389_directory_server(self) -> bool:
        """True for 389 Directory Server, which FreeIPA is built on as well."""
        return self.vendor_name == _DIRECTORY_389

    @property
    def subschema(self) -> str:
        """The entry that holds the schema (RFC 4512, section 4.2), where slapd has it if the server does not say."""
        return self.subschema_subentry or "cn=Subschema"

    @property
    def is_openldap(self) -> bool:
        """True for OpenLDAP's slapd: it gives no vendor's name, but its root DSE has a class of its own."""
        return _OPEN_LDAP in self.object_classes and not self.vendor_name

    @property
    def product(self) -> str | None:
        """What the server is, as far as it tells."""
        named = " ".join(filter(None, (self.vendor_name, self.vendor_version)))
        if self.is_active_directory:
            return f"Active Directory ({named})" if named else "Active Directory"
        return named or ("OpenLDAP" if self.is_openldap else None)

    @property
    def supports_paging(self) -> bool:
        """True when the server lists the control of RFC 2696."""
        return PAGED_RESULTS in self.supported_controls

    def naming_context_of(self, base: str) -> str | None:
        """The innermost naming context that holds the base; None when the server names none."""
        try:
            wanted = dn.comparison_key(base)
            holding = [name for name in self.naming_contexts if _holds(dn.comparison_key(name), wanted)]
        except QueryError:
            return None
        return max(holding, key=len, default=None)

    def default_base(self) -> str:
        """Where to search when nobody said where; raises BaseNotFound when the server leaves that open."""
        if self.default_naming_context:
            return self.default_naming_context
        if len(self.naming_contexts) == 1:
            return self.naming_contexts[0]
        names = " and ".join(repr(name) for name in self.naming_contexts)
        offer = f"offers several search bases: {names}" if names else "names no search base"
        raise BaseNotFound(
            f"The server {offer}.", hint="Put one into the query, for example ldap://server/DC=example,DC=com."
        )


def _holds(context: str, base: str) -> bool:
    return base == context or base.endswith(f",{context}")


def is_catalogue(server: str) -> bool:
    """Whether the URL of a server is that of a global catalogue."""
    return urlsplit(server).port in _CATALOGUE_PORTS


def read_root_dse(wire: Wire) -> RootDse:
    """Ask for it, and Active Directory for what matters of its schema; a server may hide both from this user."""
    return _with_schema(wire, _root_dse(read_texts(wire, "", _ATTRIBUTES)))


def _with_schema(wire: Wire, root_dse: RootDse) -> RootDse:
    context = root_dse.schema_naming_context
    if context is None or not root_dse.is_active_directory:
        return root_dse
    return replace(root_dse, schema=read_schema(wire, context, global_catalogue=is_catalogue(wire.server)))


def _root_dse(attributes: dict[str, list[str]]) -> RootDse:
    def first(name: str) -> str | None:
        return next(iter(attributes.get(name, ())), None)

    return RootDse(
        # OpenLDAP's own root has the empty name; it holds no people.
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

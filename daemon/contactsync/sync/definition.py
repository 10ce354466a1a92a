"""A definition as it will be run: every field parsed, every default filled in; the first stage of a run.

The same check stands behind the command line (before a definition is saved), the daemon (which marks what fails here
`invalid`) and the run itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from contactsync.credentials.sealing import check_reference
from contactsync.errors import AccessRefused, DefinitionError, MappingError
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions, check_protection
from contactsync.ldap.connection.tls import check_authorities
from contactsync.ldap.dn import canonical_dn
from contactsync.ldap.query.filter import check_filter
from contactsync.ldap.query.query import DirectoryQuery, Scope, ServerAddress, parse_query
from contactsync.ldap.query.user import parse_user
from contactsync.ldap.schema import EXCHANGE_HIDDEN
from contactsync.mapping.mapping import Mapping, compile_mapping
from contactsync.model import Auth, Tls
from contactsync.schedule import Timetable, parse_schedule
from contactsync.settings.schema import MappingLimits

if TYPE_CHECKING:
    from contactsync.ldap.rootdse import RootDse
    from contactsync.model import Definition


@dataclass(frozen=True, slots=True)
class Resolved:
    """A definition whose every field made sense. `trigger` is None for a definition that is run by hand only."""

    definition: Definition
    query: DirectoryQuery
    user: str | None
    base: str | None
    scope: Scope
    filter: str | None
    trigger: Timetable | None
    trust: TlsOptions

    @property
    def server_key(self) -> str:
        """What the limit for each directory server counts by."""
        if self.query.servers:
            return self.query.servers[0].netloc
        return self.query.domain or ""


@dataclass(frozen=True, slots=True)
class Source:
    """What is asked of the directory, once its root DSE is known."""

    base: str
    scope: Scope
    filter: str
    attributes: tuple[str, ...]
    mapping: Mapping
    lacking: tuple[str, ...] = ()
    """Those of the attributes that the server, a global catalogue, does not hold."""


def servers_of(resolved: Resolved, name_servers: tuple[ServerAddress, ...]) -> tuple[ServerAddress, ...]:
    """The servers that the query names, or those that DNS has for its domain; raises DirectoryError."""
    if resolved.query.servers:
        return resolved.query.servers
    from contactsync.ldap.connection.discovery import find_servers  # noqa: PLC0415 -- dnspython, which most definitions do without

    return find_servers(resolved.query.domain or "", name_servers, ldaps=resolved.definition.tls is Tls.LDAPS)


def connect_options(
    resolved: Resolved,
    password: str | None,
    servers: tuple[ServerAddress, ...],
    *,
    connect_timeout: float,
    receive_timeout: float,
    name_servers: tuple[ServerAddress, ...],
) -> ConnectOptions:
    """How to connect to these servers as the definition says; times in seconds."""
    definition = resolved.definition
    return ConnectOptions(
        servers=servers,
        drawn=not resolved.query.servers,
        user=resolved.user,
        password=password,
        auth=definition.auth,
        tls=definition.tls,
        trust=resolved.trust,
        connect_timeout=connect_timeout,
        receive_timeout=receive_timeout,
        name_servers=name_servers,
    )


def resolve(definition: Definition) -> Resolved:
    """Parse a definition; raises DefinitionError (or SecretError for a reference) with what is wrong and where."""
    query = parse_query(definition.query)
    user = parse_user(definition.user)
    if definition.password_ref:
        check_reference(definition.password_ref)
    if definition.auth is Auth.KERBEROS and (definition.password_ref or definition.password_sealed):
        raise DefinitionError(
            "With `auth` set to 'kerberos' a ticket says who asks, and there is a password as well.",
            hint="Take it away together with the user (--clear user), or set `auth` to 'simple'.",
        )
    trust = _trust(definition)
    check_protection(query.servers, auth=definition.auth, user=definition.user, tls=definition.tls, trust=trust)
    for active_directory in (False, True):
        _compiled(definition.mapping, active_directory=active_directory, limits=MappingLimits())
    own_filter = check_filter(definition.filter) if definition.filter else query.filter
    if own_filter and (definition.mapping or {}).get("include"):
        raise MappingError(
            "The mapping has `include`, which goes into the preset's filter, and the definition has one of its own.",
            hint="Leave out one of them.",
        )
    return Resolved(
        definition=definition,
        query=query,
        user=user,
        base=canonical_dn(definition.base) if definition.base else query.base,
        scope=Scope(definition.scope) if definition.scope else query.scope or Scope.SUB,
        filter=own_filter,
        trigger=parse_schedule(
            definition.schedule,
            definition.time_zone,
            definition.jitter_seconds,
            seed=str(definition.definition_id),
        ),
        trust=trust,
    )


def _trust(definition: Definition) -> TlsOptions:
    if definition.tls_ca_pem:
        check_authorities(definition.tls_ca_pem)
    return TlsOptions(
        verify=definition.tls_verify,
        minimum=definition.tls_minimum,
        ca_file=definition.tls_ca_file,
        ca_pem=definition.tls_ca_pem,
        client_cert=definition.tls_client_cert,
        client_key=definition.tls_client_key,
    )


def choose_source(resolved: Resolved, root_dse: RootDse, limits: MappingLimits) -> Source:
    """Fill in what depends on the server: its kind decides the mapping's preset, its naming context the base.

    Raises BaseNotFound when there is no base to choose, AccessRefused when the schema is hidden.
    """
    mapping = _compiled(resolved.definition.mapping, active_directory=root_dse.is_active_directory, limits=limits)
    attributes = _requested(mapping, resolved.query.attributes)
    return Source(
        base=resolved.base or root_dse.default_base(),
        scope=resolved.scope,
        filter=choose_filter(resolved, mapping, root_dse),
        attributes=attributes,
        mapping=mapping,
        lacking=root_dse.schema.lacking(attributes) if root_dse.schema else (),
    )


def choose_filter(resolved: Resolved, mapping: Mapping, root_dse: RootDse) -> str:
    """The definition's filter, or the mapping's as far as the server knows what stands in it.

    Raises AccessRefused when nobody can say whether it does.
    """
    if resolved.filter:
        return resolved.filter
    if root_dse.is_active_directory and root_dse.schema is None and mapping.filter.looks_for_hidden:
        raise AccessRefused(
            f"The server shows this user no schema, which says whether it knows {EXCHANGE_HIDDEN}.",
            hint="Name a user who may read it, as all of a domain's users may;"
            ' or put "include": {"hidden": true} into the mapping, to take in who is hidden from address lists.',
        )
    return mapping.filter.for_schema(root_dse.schema)


def source_digest(resolved: Resolved, source: Source) -> bytes:
    """What stands for "the same entries are asked for": 16 bytes over servers, base, scope, filter and identity."""
    servers: list[str | None] = [server.netloc for server in resolved.query.servers]
    servers = servers or [resolved.query.domain]
    # The mapping's whole filter, so that a schema that learns an attribute is no edit of the definition.
    wanted = resolved.filter or str(source.mapping.filter)
    parts = [servers, source.base, source.scope.value, wanted, list(source.mapping.identity)]
    return blake2b(json.dumps(parts).encode(), digest_size=16).digest()


def _compiled(written: dict[str, Any] | None, *, active_directory: bool, limits: MappingLimits) -> Mapping:
    return _compiled_text(None if written is None else json.dumps(written), active_directory, limits)


@lru_cache(maxsize=64)
def _compiled_text(written: str | None, active_directory: bool, limits: MappingLimits) -> Mapping:  # noqa: FBT001 -- a key
    """One mapping for all definitions that have the same: to compile it takes longer than to read a small folder."""
    definition = None if written is None else json.loads(written)
    return compile_mapping(definition, active_directory=active_directory, limits=limits)


def _requested(mapping: Mapping, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The mapping's attributes, cut down to those an RFC 4516 URL asks for; the identity is always needed."""
    if not wanted or "*" in wanted:
        return mapping.attributes
    allowed = {name.lower() for name in (*wanted, *mapping.identity)}
    return tuple(name for name in mapping.attributes if name.lower() in allowed)

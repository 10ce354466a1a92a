"""A definition as it is run: every field is parsed, every default is filled in.

The command line checks a definition in this way before it saves it, and the daemon marks one that fails as `invalid`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from contactsync.credentials.references import check_reference
from contactsync.errors import AccessRefused, DefinitionError, MappingError
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions, check_protection
from contactsync.ldap.connection.session import Session, connect
from contactsync.ldap.connection.tls import check_authorities
from contactsync.ldap.dn import canonical_dn
from contactsync.ldap.provisioning import provisioning_base
from contactsync.ldap.query.filter import check_filter
from contactsync.ldap.query.query import DirectoryQuery, Scope, ServerAddress, parse_query
from contactsync.ldap.query.user import parse_user
from contactsync.ldap.schema import EXCHANGE_HIDDEN
from contactsync.mapping.entry_filter import both
from contactsync.mapping.mapping import Mapping, compile_mapping
from contactsync.model import Auth, Tls
from contactsync.schedule import Timetable, parse_schedule
from contactsync.settings.schema import MappingLimits
from contactsync.sync.attributes import with_first_names

if TYPE_CHECKING:
    from contactsync.ldap.connection.deadline import Deadline
    from contactsync.ldap.rootdse import RootDse
    from contactsync.model import Definition
    from contactsync.sync.options import RunOptions


@dataclass(frozen=True, slots=True)
class Resolved:
    """A definition with valid fields. `trigger` is None if the definition has no schedule."""

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
        """The directory server, for limits that apply to each server."""
        if self.query.servers:
            return self.query.servers[0].netloc
        return self.query.domain or ""

    @property
    def replaces_filter(self) -> bool:
        """Whether the definition's filter is used without that of the mapping."""
        return self.filter is not None and self.definition.filter_only

    def narrow(self, of_mapping: str) -> str:
        """The filter of a search: that of the mapping with the definition's own, or only the latter."""
        if self.filter is None:
            return of_mapping
        return self.filter if self.replaces_filter else both(of_mapping, self.filter)


@dataclass(frozen=True, slots=True)
class Source:
    """What to request from the directory, once its root DSE is known."""

    base: str
    scope: Scope
    filter: str
    attributes: tuple[str, ...]
    mapping: Mapping
    lacking: tuple[str, ...] = ()
    """The requested attributes that the server, a global catalogue, does not have."""
    refused_hint: str = ""
    """What to do if the server refuses the filter."""
    excluded_base: str | None = None
    """The subtree of FreeIPA's preserved and staged people, if runs drop its entries."""


def servers_of(resolved: Resolved, name_servers: tuple[ServerAddress, ...]) -> tuple[ServerAddress, ...]:
    """The servers in the query, or those that DNS lists for its domain; raises DirectoryError."""
    if resolved.query.servers:
        return resolved.query.servers
    from contactsync.ldap.connection.discovery import find_servers  # noqa: PLC0415 -- dnspython is rarely needed

    return find_servers(resolved.query.domain or "", name_servers, ldaps=resolved.definition.tls is Tls.LDAPS)


def connect_options(
    resolved: Resolved,
    password: str | None,
    servers: tuple[ServerAddress, ...],
    options: RunOptions,
    logon: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> ConnectOptions:
    """How a run connects to these servers; each bind is within `logon`."""
    definition = resolved.definition
    return ConnectOptions(
        servers=servers,
        drawn=not resolved.query.servers,
        user=resolved.user,
        password=password,
        auth=definition.auth,
        tls=definition.tls,
        trust=resolved.trust,
        connect_timeout=options.connect_timeout,
        receive_timeout=options.receive_timeout,
        name_servers=options.name_servers,
        logon=logon,
    )


@contextmanager
def open_directory(
    resolved: Resolved,
    options: RunOptions,
    password: str | None,
    deadline: Deadline,
    logon: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[Session]:
    """A session with the first of the definition's servers that answers. Raises DirectoryError, RunCancelled."""
    servers = servers_of(resolved, options.name_servers)
    with connect(connect_options(resolved, password, servers, options, logon), deadline) as session:
        yield session


def resolve(definition: Definition) -> Resolved:
    """Parse a definition. Raises DefinitionError, or SecretError for a reference, with the field and the reason."""
    query = parse_query(definition.query)
    user = parse_user(definition.user)
    if definition.password_ref:
        check_reference(definition.password_ref)
    if definition.auth is Auth.KERBEROS and definition.brings_password:
        raise DefinitionError(
            "`auth` is 'kerberos', which uses a ticket, but the definition has a password.",
            hint="Remove the password together with the user (--clear user), or set `auth` to 'simple'.",
        )
    trust = _trust(definition)
    check_protection(query.servers, auth=definition.auth, user=definition.user, tls=definition.tls, trust=trust)
    for active_directory in (False, True):
        _compiled(definition.mapping, active_directory=active_directory, limits=MappingLimits())
    own_filter = check_filter(definition.filter) if definition.filter else query.filter
    if own_filter and definition.filter_only and (definition.mapping or {}).get("include"):
        raise MappingError(
            "The mapping has `include`, which changes the preset's filter, but `filter_only` leaves that out.",
            hint="Remove `include`, or let the filter narrow the preset's: --no-filter-only.",
        )
    return Resolved(
        definition=definition,
        query=query,
        user=user,
        base=_base(definition, query),
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


def _base(definition: Definition, query: DirectoryQuery) -> str | None:
    if not definition.base:
        return query.base if definition.base is None else ""
    base = canonical_dn(definition.base)
    return definition.base if base == definition.base else base  # the same object: there may be 100,000


def _trust(definition: Definition) -> TlsOptions:
    if definition.tls_ca_pem:
        check_authorities(definition.tls_ca_pem)
    return _tls_options(
        verify=definition.tls_verify,
        minimum=definition.tls_minimum,
        ca_file=definition.tls_ca_file,
        ca_pem=definition.tls_ca_pem,
        client_cert=definition.tls_client_cert,
        client_key=definition.tls_client_key,
    )


_tls_options = lru_cache(maxsize=256)(TlsOptions)
"""One object for all definitions with the same settings."""


def source_of(session: Session, resolved: Resolved, limits: MappingLimits) -> Source:
    """The source for the server of a session, with the attribute names that it uses. Raises as `choose_source`."""
    mapping = with_first_names(session, resolved.definition.mapping)
    if mapping is not resolved.definition.mapping:
        resolved = replace(resolved, definition=replace(resolved.definition, mapping=mapping))
    return choose_source(resolved, session.root_dse, limits)


def choose_source(resolved: Resolved, root_dse: RootDse, limits: MappingLimits) -> Source:
    """The source for this server: its kind selects the mapping's preset, its naming context the default base.

    Raises BaseNotFound if there is no default base, AccessRefused if the schema is hidden.
    """
    mapping = _compiled(resolved.definition.mapping, active_directory=root_dse.is_active_directory, limits=limits)
    attributes = _requested(mapping, resolved.query.attributes)
    base = root_dse.default_base() if resolved.base is None else resolved.base
    includes_all = mapping.preserved or resolved.replaces_filter
    excluded_base = None if includes_all else provisioning_base(root_dse, base)
    if excluded_base:
        # Entries that are contacts already are mapped again, and dropped.
        digest = blake2b(mapping.digest + excluded_base.encode(), digest_size=16).digest()
        mapping = replace(mapping, digest=digest)
    return Source(
        base=base,
        scope=resolved.scope,
        filter=choose_filter(resolved, mapping, root_dse),
        attributes=attributes,
        mapping=mapping,
        lacking=root_dse.schema.lacking(attributes) if root_dse.schema else (),
        refused_hint=_refused_hint(resolved),
        excluded_base=excluded_base,
    )


def _refused_hint(resolved: Resolved) -> str:
    if resolved.filter is None:
        return (
            "The filter is the mapping's. If the server does not support it, set one that it does, for example"
            " --filter '(objectClass=person)' --filter-only."
        )
    if resolved.replaces_filter:
        return "Check the filter."
    return (
        "The filter is the mapping's and the definition's together. Check the latter; if the server does not support"
        " the former, set --filter-only."
    )


def choose_filter(resolved: Resolved, mapping: Mapping, root_dse: RootDse) -> str:
    """The part of the mapping's filter whose attributes the server knows, narrowed by the definition's filter.

    With `filter_only` only the latter. Raises AccessRefused if the server hides which attributes it knows.
    """
    schema_is_hidden = root_dse.is_active_directory and root_dse.schema is None
    if schema_is_hidden and mapping.filter.excludes_hidden and not resolved.replaces_filter:
        raise AccessRefused(
            f"This user may not read the server's schema, which says whether the server knows {EXCHANGE_HIDDEN}.",
            hint="Use a user who may read it, as all users of a domain may;"
            ' or put "include": {"hidden": true} into the mapping, to include people hidden from address lists.',
        )
    return resolved.narrow(mapping.filter.for_schema(root_dse.schema))


def source_digest(resolved: Resolved, source: Source) -> bytes:
    """Digest (16 bytes) of the servers, base, scope, filter and identity: the same digest finds the same entries."""
    servers: list[str | None] = [server.netloc for server in resolved.query.servers]
    servers = servers or [resolved.query.domain]
    # The mapping's whole filter: a new attribute in the schema is not an edit of the definition.
    search_filter = resolved.narrow(str(source.mapping.filter))
    parts = [servers, source.base, source.scope.value, search_filter, list(source.mapping.identity)]
    parts += [source.excluded_base] if source.excluded_base else []
    return blake2b(json.dumps(parts).encode(), digest_size=16).digest()


def _compiled(mapping: dict[str, Any] | None, *, active_directory: bool, limits: MappingLimits) -> Mapping:
    return _compiled_text(None if mapping is None else json.dumps(mapping), active_directory, limits)


@lru_cache(maxsize=64)
def _compiled_text(text: str | None, active_directory: bool, limits: MappingLimits) -> Mapping:  # noqa: FBT001 -- a key
    """One mapping for all definitions with the same text; compiling it takes longer than reading a small folder."""
    mapping = None if text is None else json.loads(text)
    return compile_mapping(mapping, active_directory=active_directory, limits=limits)


def _requested(mapping: Mapping, names: tuple[str, ...]) -> tuple[str, ...]:
    """The mapping's attributes, limited to those in an RFC 4516 URL and the identity."""
    if not names or "*" in names:
        return mapping.attributes
    allowed = {name.lower() for name in (*names, *mapping.identity)}
    return tuple(name for name in mapping.attributes if name.lower() in allowed)

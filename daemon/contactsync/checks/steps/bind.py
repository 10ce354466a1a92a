"""The steps "bind" and "root_dse": the log-on, and what the server says about itself."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from contactsync.checks.context import CheckContext
from contactsync.checks.result import StepResult, blocked, ok, warning
from contactsync.errors import DirectoryError
from contactsync.ldap.connection.bind import bind
from contactsync.ldap.connection.options import check_credentials
from contactsync.ldap.connection.session import Session
from contactsync.ldap.connection.target import open_protected
from contactsync.ldap.protocol.messages import EXTENDED_RESPONSE
from contactsync.ldap.protocol.requests import PAGED_RESULTS, SHOW_DELETED, WHO_AM_I, who_am_i_op
from contactsync.ldap.protocol.results import SUCCESS
from contactsync.ldap.rootdse import RootDse, read_root_dse
from contactsync.model import Auth

_CONTROLS = {
    PAGED_RESULTS: "paging (RFC 2696)",
    "1.3.6.1.4.1.4203.1.9.1.1": "content synchronization (RFC 4533)",
    "1.2.840.113556.1.4.841": "DirSync",
    SHOW_DELETED: "show deleted",
}
_WITHOUT_USER = {
    Auth.SIMPLE: "an anonymous bind",
    Auth.KERBEROS: "the Kerberos ticket of this machine",
    Auth.EXTERNAL: "the client certificate",
}


def check_bind(context: CheckContext) -> StepResult:
    """Bind once, since repeated failures lock accounts. Raises SecretError, DirectoryError."""
    context.session = session = _open_session(context)
    identity = _who_am_i(session)
    user = context.resolved.user
    text = f"{session.server} accepts {f'the user {user}' if user else _WITHOUT_USER[session.auth]}"
    if identity and identity.lower() != (user or "").lower():
        text += f", as {identity}"
    return ok(f"{text}.", {"server": session.server, "user": user, "authorisation_id": identity})


def _open_session(context: CheckContext) -> Session:
    options = context.connect_options(password=context.password())
    check_credentials(options)
    target = context.target
    wire = open_protected(target, options, context.deadline())
    context.stack.callback(wire.close)
    bind(wire, options)
    root_dse = RootDse()
    try:
        root_dse = read_root_dse(wire)
    except DirectoryError as error:
        context.root_dse_error = error
    return Session(target.url, root_dse, wire, options.user, target.starttls, auth=options.auth)


def _who_am_i(session: Session) -> str | None:
    """The authorisation identity (RFC 4513, section 5.2.1.8) without its `dn:` or `u:`; None if unknown."""
    if WHO_AM_I not in session.root_dse.supported_extensions:
        return None
    with suppress(DirectoryError):
        result = session.wire.ask(who_am_i_op(), EXTENDED_RESPONSE)
        if result.code == SUCCESS:
            return result.value.decode("utf-8", "replace").removeprefix("dn:").removeprefix("u:").strip() or None
    return None


def check_root_dse(context: CheckContext) -> StepResult:
    """Show the product, the naming contexts and the controls of the server."""
    if context.root_dse_error:
        return replace(blocked(context.root_dse_error), blocking=False)
    root_dse = context.root_dse
    if not (root_dse.naming_contexts or root_dse.supported_controls):
        return warning(
            "This user cannot read the server's root DSE.",
            "Set the base in the definition (--base). Without the root DSE, entries are read without paging.",
        )
    in_catalogue = root_dse.schema is not None and root_dse.schema.catalogue is not None
    controls = [name for control, name in _CONTROLS.items() if control in root_dse.supported_controls]
    product = f"{root_dse.product or 'Unknown product'}{', global catalogue' if in_catalogue else ''}"
    contexts = ", ".join(root_dse.naming_contexts) or "none visible"
    return ok(
        f"{product}; naming contexts: {contexts}.",
        {
            "product": root_dse.product,
            "active_directory": root_dse.is_active_directory,
            "global_catalogue": in_catalogue,
            "naming_contexts": list(root_dse.naming_contexts),
            "default_naming_context": root_dse.default_naming_context,
            "controls": controls,
        },
        details=(f"controls that runs can use: {', '.join(controls) or 'none'}",),
    )

"""The steps "bind" and "root_dse": as whom the server knows us, and what it says about itself."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from contactsync.checks.result import Status, StepResult, failed
from contactsync.errors import DirectoryError
from contactsync.ldap.connection.bind import bind
from contactsync.ldap.connection.options import check_credentials
from contactsync.ldap.connection.session import Session
from contactsync.ldap.connection.target import close, open_protected
from contactsync.ldap.protocol.messages import EXTENDED_RESPONSE
from contactsync.ldap.protocol.requests import PAGED_RESULTS, SHOW_DELETED, WHO_AM_I, who_am_i_op
from contactsync.ldap.protocol.results import SUCCESS
from contactsync.ldap.rootdse import RootDse, read_root_dse
from contactsync.model import Auth

if TYPE_CHECKING:
    from contactsync.checks.context import CheckContext

_CONTROLS = {
    PAGED_RESULTS: "paging (RFC 2696)",
    "1.3.6.1.4.1.4203.1.9.1.1": "content synchronisation (RFC 4533)",
    "1.2.840.113556.1.4.841": "DirSync",
    SHOW_DELETED: "show deleted",
}

_BY = {
    Auth.SIMPLE: "anonymously",
    Auth.KERBEROS: "by the Kerberos ticket of this machine",
    Auth.EXTERNAL: "by the certificate that it was shown",
}
"""What says who asks where there is no user."""


def check_bind(checkup: CheckContext) -> StepResult:
    """Bind once, with no second try: accounts get locked. Raises SecretError, CredentialsRefused and so on."""
    checkup.session = session = _open_session(checkup)
    authorised = _who_am_i(session)
    user = checkup.known.user
    who = f"as {user}" if user else _BY[session.auth]
    known = f"; the server calls it {authorised}" if authorised and authorised.lower() != (user or "").lower() else ""
    data = {"server": session.server, "user": user, "authorisation_id": authorised}
    return StepResult(status=Status.OK, text=f"{session.server} lets us in {who}{known}.", data=data)


def _open_session(checkup: CheckContext) -> Session:
    """A bound connection to the chosen server, closed when the check is over."""
    options = checkup.connect_options(password=checkup.password())
    check_credentials(options)
    target = checkup.chosen
    connection, wire = open_protected(target, options, checkup.deadline())
    checkup.stack.callback(close, connection)
    bind(wire, options)
    root_dse = RootDse()
    try:
        root_dse = read_root_dse(wire)
    except DirectoryError as error:
        checkup.root_dse_error = error
    return Session(target.url, root_dse, connection, wire, options.user, target.starttls, auth=options.auth)


def _who_am_i(session: Session) -> str | None:
    """The authorisation identity (RFC 4513, section 5.2.1.8) without its `dn:` or `u:`; None when untold."""
    if WHO_AM_I not in session.root_dse.supported_extensions:
        return None
    with suppress(DirectoryError):
        result = session.wire.ask(who_am_i_op(), EXTENDED_RESPONSE)
        if result.code == SUCCESS:
            return result.value.decode("utf-8", "replace").removeprefix("dn:").removeprefix("u:").strip() or None
    return None


def check_root_dse(checkup: CheckContext) -> StepResult:
    """Say what kind of server it is, where its data is, and which of the controls that matter it has."""
    if checkup.root_dse_error:
        return replace(failed(checkup.root_dse_error), leaves_ground=True)
    root_dse = checkup.root_dse
    if not (root_dse.naming_contexts or root_dse.supported_controls):
        return StepResult(
            status=Status.WARNING,
            text="The server says nothing about itself to this user.",
            hint="Name the base in the definition; nothing is read by pages.",
        )
    product = root_dse.product or "A server that does not say what it is"
    in_catalogue = root_dse.schema is not None and root_dse.schema.catalogue is not None
    product += ", its global catalogue" if in_catalogue else ""
    controls = [name for control, name in _CONTROLS.items() if control in root_dse.supported_controls]
    contexts = ", ".join(root_dse.naming_contexts) or "none shown"
    return StepResult(
        status=Status.OK,
        text=f"{product}; naming contexts: {contexts}.",
        details=(f"controls: {', '.join(controls) or 'none that a run could use'}",),
        data={
            "product": root_dse.product,
            "active_directory": root_dse.is_active_directory,
            "global_catalogue": in_catalogue,
            "naming_contexts": list(root_dse.naming_contexts),
            "default_naming_context": root_dse.default_naming_context,
            "controls": controls,
        },
    )

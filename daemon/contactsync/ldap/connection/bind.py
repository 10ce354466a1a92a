"""Says to a server who asks: by user and password, by nobody's name, by a ticket, or by what TLS has shown."""

from __future__ import annotations

from contactsync.errors import ContactsyncError, DefinitionError, DirectoryError
from contactsync.ldap.connection.kerberos import kerberos_bind
from contactsync.ldap.connection.options import ConnectOptions
from contactsync.ldap.connection.transport import Wire
from contactsync.ldap.protocol.messages import BIND_RESPONSE
from contactsync.ldap.protocol.requests import bind_op, sasl_bind_op
from contactsync.ldap.protocol.results import SUCCESS, Result, bind_error
from contactsync.model import Auth


def check_logon(options: ConnectOptions) -> None:
    """Raise DefinitionError for a user without a password."""
    if options.auth is Auth.SIMPLE and options.user and not options.password:
        # RFC 4513, section 5.1.2: servers take this for an anonymous bind, and it would look like success.
        raise missing_password(options.user)


def missing_password(user: str | None) -> DefinitionError:
    """The error of a definition with a user and without the password that it needs."""
    return DefinitionError(f"The user {user!r} has no password.", hint="Set one, or leave out the user.")


def log_on(wire: Wire, options: ConnectOptions) -> None:
    """Bind, once. Raises CredentialsRefused, AccessRefused and what else a server says to that.

    The password is handed on in no other way, so that ldap3 cannot send it elsewhere.
    """
    try:
        if options.auth is Auth.KERBEROS:
            kerberos_bind(wire, options.user)
            return
        result = wire.ask(_bind_op(options), BIND_RESPONSE)
    except ContactsyncError as error:
        # Frames further down hold the request; a traceback that shows local variables must not.
        raise error.with_traceback(None) from None
    if result.code != SUCCESS:
        raise _refused(result, wire.server, options)


def _refused(result: Result, server: str, options: ConnectOptions) -> DirectoryError:
    if options.auth is not Auth.EXTERNAL:
        return bind_error(result, server=server, user=options.user)
    kind = type(bind_error(result, server=server, user=None))
    return kind(
        f"{server} refused to take the certificate {options.trust.client_cert!r} for a user of its: {result}.",
        hint="Ask its administrator for whom it takes it. Active Directory takes certificates after StartTLS only:"
        " write ldap:// in the query.",
    )


def _bind_op(options: ConnectOptions) -> bytes:
    return sasl_bind_op("EXTERNAL") if options.auth is Auth.EXTERNAL else bind_op(options.user, options.password)

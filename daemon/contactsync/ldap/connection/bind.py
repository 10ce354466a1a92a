"""Binds a connection: by user and password, anonymously, by Kerberos, or as the client certificate names the user."""

from __future__ import annotations

from contactsync.errors import ContactsyncError, DirectoryError
from contactsync.ldap.connection.kerberos import kerberos_bind
from contactsync.ldap.connection.options import ConnectOptions
from contactsync.ldap.connection.transport import Wire
from contactsync.ldap.protocol.messages import BIND_RESPONSE
from contactsync.ldap.protocol.requests import bind_op, sasl_bind_op
from contactsync.ldap.protocol.results import SUCCESS, Result, bind_error
from contactsync.model import Auth
from contactsync.text import quoted


def bind(wire: Wire, options: ConnectOptions) -> None:
    """Bind, once. Raises CredentialsRefused, AccessRefused or another DirectoryError."""
    try:
        if options.auth is Auth.KERBEROS:
            kerberos_bind(wire, options.user)
            return
        result = wire.ask(_bind_op(options), BIND_RESPONSE)
    except ContactsyncError as error:
        # A traceback that shows local variables must not show the request, which holds the password.
        raise error.with_traceback(None) from None
    if result.code != SUCCESS:
        raise _refused(result, wire.server, options)


def _refused(result: Result, server: str, options: ConnectOptions) -> DirectoryError:
    error = bind_error(result, server=server, user=options.user)
    if options.auth is not Auth.EXTERNAL:
        return error
    return type(error)(
        f"{server} refused authentication by the certificate {quoted(options.trust.client_cert or '')}: {result}.",
        hint="Ask the directory's administrator which user the certificate belongs to. Active Directory accepts"
        " certificates after StartTLS only: write ldap:// in the query.",
    )


def _bind_op(options: ConnectOptions) -> bytes:
    return sasl_bind_op("EXTERNAL") if options.auth is Auth.EXTERNAL else bind_op(options.user, options.password)

"""The settings of the sign-in at the web console: a directory, or a web server in front of the console."""

from __future__ import annotations

from pydantic import Field

from contactsync.settings.types import FILE, Section

FILTER = "(|(uid={name})(sAMAccountName={name})(userPrincipalName={name}))"
_WITH_NAME = r"^$|^[^\x00-\x1f]*\{name\}[^\x00-\x1f]*$"
_WITH_DN = r"^$|^[^\x00-\x1f]*\{dn\}[^\x00-\x1f]*$"
_ONE_LINE = r"^[^\x00-\x1f]*$"
_HEADER = r"^$|^[A-Za-z][A-Za-z0-9-]*$"


class SignIn(Section):
    """Who may sign in at the console, and who is an administrator there."""

    query: str = Field("", pattern=_ONE_LINE, description="a query as in docs/query.md, in quotes")
    user: str = Field("", pattern=_ONE_LINE, description="a DN, or a name with its domain, in quotes")
    password_file: str = Field("", pattern=FILE, description="an absolute path in quotes")
    bind_as: str = Field("", pattern=_WITH_NAME, description='a text with {name}, like "{name}@example.com"')
    filter: str = Field(FILTER, pattern=_WITH_NAME, description='a filter with {name}, like "(uid={name})"')
    name_attributes: str = Field(
        "uid sAMAccountName", pattern=r"^[\w; -]+$", description="attributes with spaces between them"
    )
    group_filter: str = Field("", pattern=_WITH_DN, description='a filter with {dn}, like "(member={dn})"')
    ca_file: str = Field("", pattern=FILE, description="an absolute path in quotes")
    members: str = Field("", pattern=_ONE_LINE, description="DNs of groups with semicolons between them")
    administrators: str = Field("", pattern=_ONE_LINE, description="DNs of groups with semicolons between them")
    proxy_user: str = Field("", pattern=r"^[^:\s]*$", description="the name or the number of a user, in quotes")
    proxy_header: str = Field("", pattern=_HEADER, description='the name of a header, like "Remote-User"')
    proxy_groups_header: str = Field("", pattern=_HEADER, description='the name of a header, like "Remote-Groups"')

"""The settings of the sign-in at the web console: a directory, an OpenID provider, or a web server in front."""

from __future__ import annotations

from pydantic import Field

from contactsync.settings.types import FILE, Section

FILTER = "(|(uid={name})(sAMAccountName={name})(userPrincipalName={name}))"
_WITH_NAME = r"^$|^[^\x00-\x1f]*\{name\}[^\x00-\x1f]*$"
_WITH_DN = r"^$|^[^\x00-\x1f]*\{dn\}[^\x00-\x1f]*$"
_ONE_LINE = r"^[^\x00-\x1f]*$"
_ISSUER = r"^$|^https://[^\s?#\x00-\x1f]+$"
_SCOPES = r"^([!#-\[\]-~]+ )*openid( [!#-\[\]-~]+)*$"
_CLAIM = r"^[^\s\x00-\x1f]+$"
_HEADER = r"^$|^[A-Za-z][A-Za-z0-9-]*$"


class SignIn(Section):
    """Who may sign in at the console, and who is an administrator there."""

    query: str = Field("", pattern=_ONE_LINE, description="a query as in docs/reference/query.md, in quotes")
    user: str = Field("", pattern=_ONE_LINE, description="a DN, or a name with its domain, in quotes")
    password_file: str = Field("", pattern=FILE, description="an absolute path in quotes")
    bind_as: str = Field("", pattern=_WITH_NAME, description='a text with {name}, like "{name}@example.com"')
    filter: str = Field(FILTER, pattern=_WITH_NAME, description='a filter with {name}, like "(uid={name})"')
    name_attributes: str = Field(
        "uid sAMAccountName", pattern=r"^[\w; -]+$", description="attributes with spaces between them"
    )
    group_filter: str = Field("", pattern=_WITH_DN, description='a filter with {dn}, like "(member={dn})"')
    ca_file: str = Field("", pattern=FILE, description="an absolute path in quotes")
    members: str = Field("", pattern=_ONE_LINE, description="groups with semicolons between them")
    administrators: str = Field("", pattern=_ONE_LINE, description="groups with semicolons between them")
    oidc_issuer: str = Field("", pattern=_ISSUER, description='a URL, like "https://sso.example.com/realms/staff"')
    oidc_client_id: str = Field("", pattern=_ONE_LINE, description="the name of the console at the provider, in quotes")
    oidc_client_secret_file: str = Field("", pattern=FILE, description="an absolute path in quotes")
    oidc_scopes: str = Field(
        "openid profile", pattern=_SCOPES, description="scopes with spaces between them, one of them openid"
    )
    oidc_name_claim: str = Field("sub", pattern=_CLAIM, description='the name of a claim, like "preferred_username"')
    oidc_groups_claim: str = Field("groups", pattern=_CLAIM, description='the name of a claim, like "groups"')
    oidc_ca_file: str = Field("", pattern=FILE, description="an absolute path in quotes")
    proxy_user: str = Field("", pattern=r"^[^:\s]*$", description="the name or the number of a user, in quotes")
    proxy_header: str = Field("", pattern=_HEADER, description='the name of a header, like "Remote-User"')
    proxy_groups_header: str = Field("", pattern=_HEADER, description='the name of a header, like "Remote-Groups"')

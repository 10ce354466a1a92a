"""ldap/query."""

"""ldap/protocol."""

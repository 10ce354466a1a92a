"""ldap/changes."""

"""ldap/connection."""

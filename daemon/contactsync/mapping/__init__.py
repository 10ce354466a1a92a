"""LDAP entries become fields of contacts. Pure: no I/O, and nothing of PostgreSQL."""

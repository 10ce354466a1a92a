"""contactsync keeps contact folders in PostgreSQL in sync with LDAP directories."""

__version__ = "0.1.0"

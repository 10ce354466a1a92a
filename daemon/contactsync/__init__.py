"""contactsync keeps contact folders in PostgreSQL in sync with LDAP directories."""

__version__ = "0.1.0"

COMMAND_LINE = "contactsync-cli"
"""The User-Agent of the command line, before the version."""

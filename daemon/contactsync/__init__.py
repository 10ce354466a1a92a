"""contactsync keeps contact folders in PostgreSQL in step with LDAP directories."""

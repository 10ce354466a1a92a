"""PostgreSQL: every statement and every table. It knows nothing of LDAP."""

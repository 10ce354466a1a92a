"""LDAP: queries, connections, searches and changes, as octets and entries.

It knows nothing of contacts or of PostgreSQL.
"""

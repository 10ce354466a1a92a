"""Connections to directory servers: addresses, TLS, bind, reuse, and octets in both directions.

Searches are in ldap/search.py and its neighbours.
"""

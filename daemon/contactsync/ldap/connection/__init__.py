"""Connections to directory servers: addresses found, TLS, bind, reuse, octets in and out.

What is asked over them is in ldap/search.py and its neighbours.
"""

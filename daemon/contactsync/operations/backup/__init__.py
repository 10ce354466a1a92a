"""Dumps of a database, and their restoration.

Nothing here prints or asks.
"""

"""Requested runs, by the API and by SQL, and their tickets.

It hands requests to the dispatcher; when a run starts is decided there.
"""

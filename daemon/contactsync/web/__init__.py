"""The web console: a process of its own that shows and does everything through the daemon's API.

It holds no key and no password of the database.
"""

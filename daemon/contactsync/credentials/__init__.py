"""Bind passwords: sealed, fetched by a reference, remembered if a directory refused them.

Nothing here connects to a directory.
"""

"""Bind passwords: sealed, referred to, opened, and remembered when a directory refused them.

Nothing here connects to a directory.
"""

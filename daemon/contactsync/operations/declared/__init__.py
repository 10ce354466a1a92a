"""Definitions as a file or a request declares them: the fields, export, plan, apply.

Nothing here prints or answers a request.
"""

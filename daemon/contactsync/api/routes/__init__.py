"""The paths of the API, in groups: read, control runs, decide, follow events.

A route calls one function and converts its result; it makes no decision of its own.
"""

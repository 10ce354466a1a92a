"""The paths of the API, grouped by what a caller wants: read, run, decide, follow events.

A route calls one function and converts its result; it makes no decision of its own.
"""

"""How a directory reports what changed since a cursor, one file for each protocol, behind the interface in base.py.

Whether a run may rely on it is decided in sync/.
"""

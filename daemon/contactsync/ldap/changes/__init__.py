"""How a directory reports what changed since a cursor: one file for each method, behind the interface in base.py.

sync/ decides whether a run may rely on it.
"""

"""The steps of a check, in files named after what they look at.

A step reads CheckContext and returns results; the order of the steps is in checks/check.py.
"""

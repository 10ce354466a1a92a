"""The steps of a check, in files named after what they check.

A step reads the CheckContext and returns a result; checks/check.py has the order of the steps.
"""

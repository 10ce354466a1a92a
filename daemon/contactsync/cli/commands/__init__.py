"""The commands, one file each.

A command translates words into calls and results into text; a rule of the product goes into operations/.
"""

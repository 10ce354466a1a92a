"""Further pages about one folder.

The rules are those of pages/.
"""

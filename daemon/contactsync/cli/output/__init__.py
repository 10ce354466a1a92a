"""How results look in a terminal: tables, differences, progress, summaries.

Nothing here reads the database or the directory.
"""

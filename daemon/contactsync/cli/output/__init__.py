"""How results are printed: text, tables, differences, progress, summaries.

Nothing here reads the database or the directory.
"""

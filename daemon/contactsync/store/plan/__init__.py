"""The plan of a run: staged rows, the difference to the stored contacts, and its application.

One transaction decides; everything before it is temporary.
"""

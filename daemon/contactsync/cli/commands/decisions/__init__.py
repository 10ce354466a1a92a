"""The commands that decide about runs: approve, reject, cancel, undo.

What a decision does is in operations/.
"""

"""How templates write values, in the words of people.

Nothing here asks the daemon.
"""

"""What the commands about the database do: migrate, setup, dump, restore.

Nothing here decides a rule: that is in operations/ and store/.
"""

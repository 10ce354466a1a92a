"""What the commands `contactsync folders ...` do, one file for each.

Nothing here decides a rule: that is in operations/.
"""

"""`contactsync secrets`: the key that seals bind passwords.

The sealing itself is in credentials/.
"""

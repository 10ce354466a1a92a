"""`contactsync folders rights`: who may see and who may edit a folder at the web console.

What a right allows is in operations/access/.
"""

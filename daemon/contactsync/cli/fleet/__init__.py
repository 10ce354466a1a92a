"""`contactsync fleet`: the daemons that share one set of definitions.

What the daemons do is in fleet/.
"""

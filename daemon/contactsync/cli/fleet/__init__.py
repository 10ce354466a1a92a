"""`contactsync fleet`: the daemons that share one set of definitions."""

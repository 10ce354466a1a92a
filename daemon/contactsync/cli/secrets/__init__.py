"""`contactsync secrets`: the key that seals bind passwords."""

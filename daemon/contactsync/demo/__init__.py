"""What `contactsync demo` and the tests need: a private directory server and the people in it."""

"""The story that `contactsync demo` tells.

It uses the product from outside, by commands and SQL; servers and people for it are in testing/.
"""

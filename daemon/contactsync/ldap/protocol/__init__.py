"""LDAP messages in BER (RFC 4511): requests written, answers parsed. Pure functions and buffers; no sockets."""

"""LDAP messages in BER (RFC 4511): requests are written, responses parsed. No sockets."""

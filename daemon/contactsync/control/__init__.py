"""The Unix socket that serves the API: the socket file, the protocol, the identity of the peer, the server thread.

What a request does is in api/.
"""

"""The Unix socket on which the daemon serves the API: the socket file, the protocol on it, the server thread.

What the requests mean is in api/.
"""

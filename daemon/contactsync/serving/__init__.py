"""What servers and clients of HTTP need: the daemon's client, peers of sockets, TLS, files with secrets, limits.

Nothing here knows a path of the API or a page of the console.
"""

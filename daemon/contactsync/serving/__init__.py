"""What the servers of HTTP need: peers of Unix sockets, TLS, listening sockets, files with secrets, limits."""

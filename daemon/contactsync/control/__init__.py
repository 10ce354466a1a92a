"""The control socket: HTTP and JSON on a Unix socket, for the command line, for curl, for other programs."""

"""What both servers of HTTP need, the daemon's and the console's: peers of Unix sockets, TLS, listening sockets."""

"""The web console with many contacts and many folders."""

"""What people do beside running: preview, approve, look back, take back, ask why. For the command line and the API."""

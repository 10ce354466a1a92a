"""cli/output."""

"""checks/steps."""

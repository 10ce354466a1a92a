"""store/plan."""

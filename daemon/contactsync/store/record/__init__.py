"""store/record."""

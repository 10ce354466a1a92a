"""Further pages about one folder."""

"""Builds the documentation as a site that needs no network: Sphinx with Furo, from the Markdown of the repository."""

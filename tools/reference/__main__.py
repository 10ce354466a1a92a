"""Writes the pages (make man)."""

from __future__ import annotations

from tools.reference.pages import pages


def main() -> None:
    """Write each page."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

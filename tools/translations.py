"""Extracts the texts of the web console, merges them into the catalogues, and compiles these (make translations)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "daemon" / "contactsync" / "web"
LANGUAGES = ("de",)
_METHODS = [("**.py", "python"), ("**/templates/**.j2", "jinja2")]
_OPTIONS = {"**/templates/**.j2": {"trimmed": "true", "silent": "false"}}
_KEYWORDS = {**DEFAULT_KEYWORDS, "mark": None}
_WIDTH = 120
_DATE = datetime(2026, 1, 1, tzinfo=UTC)


def extracted() -> Catalog:
    """The texts that the code and the templates mark."""
    catalog = _catalog()
    for file, _line, text, comments, context in extract_from_dir(PACKAGE, _METHODS, _OPTIONS, _KEYWORDS):
        # Without lines, which would make a difference with each edit.
        catalog.add(text, locations=[(file, 0)], auto_comments=comments, context=context)
    return catalog


def _catalog(language: str | None = None) -> Catalog:
    """An empty one, without the time at which it was made."""
    header = "# The texts of the web console; `make translations` merges new ones."
    return Catalog(
        locale=language,
        project="contactsync",
        header_comment=header,
        creation_date=_DATE,
        revision_date=_DATE,
        fuzzy=False,
    )


def file_of(language: str, kind: str = "po") -> Path:
    """The catalogue of a language: `po` for people, `mo` for the program."""
    return PACKAGE / "locale" / language / "LC_MESSAGES" / f"contactsync.{kind}"


def read(language: str) -> Catalog:
    """The catalogue of a language; an empty one if there is none."""
    file = file_of(language)
    if not file.exists():
        return _catalog(language)
    with file.open("rb") as stream:
        return read_po(stream, locale=language)


def compiled(catalog: Catalog) -> bytes:
    """The octets for the program."""
    stream = io.BytesIO()
    write_mo(stream, catalog)
    return stream.getvalue()


def forms(text: str | Sequence[str] | None) -> list[str]:
    """The text; of one with a number, that for one and that for more."""
    return [text] if isinstance(text, str) else list(text or [""])


def is_translated(message: Message) -> bool:
    """Whether a text has a translation, in each of its forms."""
    return all(forms(message.string))


def main() -> None:
    """Merge and compile; print what is not translated yet."""
    template = extracted()
    for language in LANGUAGES:
        catalog = read(language)
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        catalog.fuzzy = False
        file = file_of(language)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            write_po(stream, catalog, width=_WIDTH, no_location=True, sort_output=True, omit_header=False)
        file_of(language, "mo").write_bytes(compiled(read(language)))
        missing = [message.id for message in catalog if message.id and not is_translated(message)]
        print(f"{language}: {len(catalog)} texts, {len(missing)} not translated")  # noqa: T201


if __name__ == "__main__":
    main()

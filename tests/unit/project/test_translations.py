"""The catalogues of the web console have all its texts, and the program has them as compiled."""

from __future__ import annotations

import re

import pytest
from babel.messages.catalog import Catalog

from tools.translations import LANGUAGES, compiled, extracted, file_of, forms, is_translated, read

PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")


@pytest.fixture(scope="module")
def template() -> Catalog:
    """Give the texts of the code and the templates."""
    return extracted()


def texts(catalog: Catalog) -> set[str]:
    """The texts in the source."""
    return {str(message.id) for message in catalog if message.id}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogue_has_every_text_and_no_other(language: str, template: Catalog) -> None:
    """`make translations` merges new ones."""
    assert len(texts(template)) > 300
    assert texts(read(language)) == texts(template)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated_with_its_placeholders(language: str) -> None:
    """A placeholder that is missing or misspelt would be an error on the page."""
    for message in read(language):
        if message.id:
            assert is_translated(message), message.id
            assert not message.fuzzy, message.id
            for source, translation in zip(forms(message.id), forms(message.string), strict=True):
                assert sorted(PLACEHOLDER.findall(source)) == sorted(PLACEHOLDER.findall(translation)), source


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_program_has_the_catalogue_as_it_is(language: str) -> None:
    """The compiled file is that of the texts."""
    assert file_of(language, "mo").read_bytes() == compiled(read(language))

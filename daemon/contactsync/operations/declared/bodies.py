"""What the bodies of requests share: their configuration, and texts that PostgreSQL can store."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict


def body_with_example(**example: Any) -> ConfigDict:
    """The configuration of a request's body: unknown fields are refused, and OpenAPI shows the example."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


def _storable(value: Any) -> Any:
    """The value, if PostgreSQL can store its texts: without NUL, and without half of a surrogate pair."""
    for text in _texts(value):
        if "\0" in text:
            raise ValueError("it contains NUL")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("it is not valid Unicode") from None
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        parts = chain(value, value.values()) if isinstance(value, dict) else value
        yield from chain.from_iterable(map(_texts, parts))


Storable = AfterValidator(_storable)
Text = Annotated[str, Storable]

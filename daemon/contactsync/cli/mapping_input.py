"""Reads the mapping that --mapping names: a file, standard input, or the JSON itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from contactsync.errors import MappingError, UsageError


def read_mapping(text: str) -> dict[str, Any]:
    """The JSON object that the option stands for. Raises UsageError, MappingError."""
    if text.lstrip().startswith("{"):
        return _parse(text, "The mapping")
    if text == "-":
        return _parse(_all_of_stdin(), "The mapping on standard input")
    try:
        return _parse(Path(text).read_text(encoding="utf-8"), f"The mapping in {text}")
    except OSError as error:
        raise UsageError(
            f"The mapping {text} cannot be read: {error.strerror}.",
            hint="Give a JSON file, - for standard input, or the JSON itself.",
        ) from None
    except UnicodeDecodeError:
        raise MappingError(f"The mapping in {text} is not text in UTF-8.") from None


def _all_of_stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise MappingError("The mapping on standard input is not text in UTF-8.") from None


def _parse(text: str, what: str) -> dict[str, Any]:
    try:
        mapping = json.loads(text)
    except json.JSONDecodeError as error:
        raise MappingError(f"{what} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}.") from None
    if not isinstance(mapping, dict):
        raise MappingError(f"{what} is not a JSON object.", hint='It looks like {"fields": {"title": ["title"]}}.')
    return mapping

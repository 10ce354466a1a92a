"""The configuration of the bodies of requests."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict


def body_with_example(**example: Any) -> ConfigDict:
    """The configuration of a request's body: unknown fields are refused, and OpenAPI shows the example."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})

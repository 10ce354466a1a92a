"""Fixtures of the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect to the test's database."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection

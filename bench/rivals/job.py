"""The command line of a rival, and the attributes that it requests."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

FILTER = "(objectClass=inetOrgPerson)"
KEY = "entryUUID"
TEXTS = ("cn", "givenName", "sn", "title", "departmentNumber", "o", "street", "l", "st", "postalCode")
LISTS = ("mail", "telephoneNumber", "mobile")
ATTRIBUTES = (KEY, *TEXTS, *LISTS)


@dataclass(frozen=True)
class Job:
    """The directory, and the user to bind as."""

    url: str
    user: str
    password_file: str
    base: str
    page_size: str

    @classmethod
    def of_command_line(cls) -> Self:
        """The job of this process."""
        return cls(*sys.argv[1 : 1 + len(fields(cls))])

    @property
    def password(self) -> str:
        """The user's password."""
        return Path(self.password_file).read_text(encoding="utf-8")

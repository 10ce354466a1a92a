"""Options of the command line as changes of a definition's fields; what a change means is in operations/definitions."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contactsync.cli.prompts import check_input, read_mapping
from contactsync.errors import UsageError
from contactsync.operations.definitions import defaults_of

if TYPE_CHECKING:
    from contactsync.cli.options import DefinitionOptions

FILES = frozenset({"tls_ca_file", "tls_client_cert", "tls_client_key"})
"""Fields that name a file where the daemon runs."""


class Clearable(StrEnum):
    """Fields that have a default, by the names of their options."""

    USER = "user"
    BASE = "base"
    SCOPE = "scope"
    FILTER = "filter"
    MAPPING = "mapping"
    AUTH = "auth"
    TLS = "tls"
    TLS_VERIFY = "tls-verify"
    TLS_MINIMUM = "tls-minimum"
    CA_FILE = "ca-file"
    CLIENT_CERT = "client-cert"
    CLIENT_KEY = "client-key"
    MODE = "mode"
    SCHEDULE = "schedule"
    TIME_ZONE = "time-zone"
    JITTER = "jitter"
    MAX_DELETE_COUNT = "max-delete-count"
    MAX_DELETE_SHARE = "max-delete-share"
    ALLOW_EMPTY = "allow-empty"
    DEADLINE = "deadline"
    PAGE_SIZE = "page-size"

    @property
    def field(self) -> str:
        """The field's name in contactsync.model.Definition."""
        name = self.value.replace("-", "_")
        return {"jitter": "jitter_seconds", "deadline": "deadline_seconds"}.get(
            name, f"tls_{name}" if name.startswith(("ca_", "client_")) else name
        )


def changes_of(
    options: DefinitionOptions, *, query: str | None = None, cleared: Iterable[Clearable] = ()
) -> dict[str, Any]:
    """The changes that the options ask for, by the fields of a definition. Raises UsageError, MappingError."""
    check_input(options)
    changes = defaults_of(choice.field for choice in cleared) | options.given()
    if query is not None:
        changes["query"] = query
    if options.mapping is not None:
        changes["mapping"] = read_mapping(options.mapping)
    if options.tls_ca_pem is not None:
        changes["tls_ca_pem"] = _read_certificates(options.tls_ca_pem)
    # The daemon has another working directory.
    return changes | {name: str(Path(changes[name]).absolute()) for name in FILES & changes.keys() if changes[name]}


def _read_certificates(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not a file of certificates in PEM form.") from None

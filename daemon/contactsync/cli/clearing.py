"""What `folders edit --clear FIELD` sets back, and to what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from enum import StrEnum
from typing import Any

from contactsync.model import Definition


class Clearable(StrEnum):
    """What has a default to go back to, by the names of the options."""

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


_OTHERWISE_NAMED = {
    # A password is of no use without the user that it belongs to.
    Clearable.USER: ("user", "password_sealed", "password_ref"),
    Clearable.CA_FILE: ("tls_ca_file", "tls_ca_pem"),
    Clearable.CLIENT_CERT: ("tls_client_cert", "tls_client_key"),
    Clearable.CLIENT_KEY: ("tls_client_key",),
    Clearable.JITTER: ("jitter_seconds",),
    Clearable.DEADLINE: ("deadline_seconds",),
}


def defaults_of(cleared: Iterable[Clearable]) -> dict[str, Any]:
    """The fields of contactsync.model.Definition that these stand for, with their defaults."""
    defaults = {field.name: field.default for field in fields(Definition)}
    names = [name for choice in cleared for name in _OTHERWISE_NAMED.get(choice, (choice.value.replace("-", "_"),))]
    return {name: defaults[name] for name in names}

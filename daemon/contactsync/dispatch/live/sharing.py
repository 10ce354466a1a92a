"""Which definitions share connections: those with the same destination and the same bind password."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING

from contactsync.credentials.bind import destination_of

if TYPE_CHECKING:
    from contactsync.sync.definition import Resolved
    from contactsync.sync.runner import Runner


_LONGEST_KEY = 500


def listener_key(resolved: Resolved) -> str:
    """The directory server and user of a definition, which one node of a fleet listens to; the same on all nodes."""
    key = " ".join(filter(None, [resolved.server_key, resolved.definition.user]))
    if len(key) > _LONGEST_KEY:
        key = f"{key[:_LONGEST_KEY]}…{blake2b(key.encode(), digest_size=8).hexdigest()}"
    return key


class SharingKeys:
    """The key of each definition; for one thread at a time.

    A sealed password is opened once for each edit, and only a keyed digest of it is kept. The digest's key exists in
    this process only.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._digest_key = os.urandom(32)
        self._keys: dict[int, tuple[Resolved, tuple[object, ...]]] = {}

    def of(self, resolved: Resolved) -> tuple[object, ...]:
        """What definitions must have in common to share a connection. Raises SecretError, QueryError."""
        definition_id = resolved.definition.definition_id
        stored, key = self._keys.get(definition_id, (None, ()))
        if stored is not resolved:
            key = self._key(resolved)
            self._keys[definition_id] = resolved, key
        return key

    def _key(self, resolved: Resolved) -> tuple[object, ...]:
        definition = resolved.definition
        return (
            resolved.query.servers or resolved.query.domain,
            resolved.user,
            definition.auth,
            definition.password_ref,
            None if not (definition.password_sealed or definition.password_new) else self._password_digest(resolved),
            definition.tls,
            resolved.trust,
        )

    def _password_digest(self, resolved: Resolved) -> bytes:
        password = self._runner.passwords.read(resolved.definition) or ""
        return blake2b(destination_of(resolved.definition) + password.encode(), key=self._digest_key).digest()

    def keep(self, definition_ids: set[int]) -> None:
        """Keep the keys of these definitions and forget all others."""
        self._keys = {key: value for key, value in self._keys.items() if key in definition_ids}

"""The plain data of definitions, runs and plans."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from contactsync.errors import CredentialsRefused

CERTIFICATE_WARNING = timedelta(days=30)
"""How long before the expiry of a certificate the log, the metrics and `check` warn."""

FIRST_DEFINITION = "directory"
"""Name of a folder's first definition; labels omit it."""

DEFAULT_TLS_MINIMUM = "1.2"


class Trigger(StrEnum):
    """Why a run was started."""

    SCHEDULE = "schedule"
    CATCH_UP = "catch-up"
    EDIT = "edit"
    MANUAL = "manual"
    REQUEST = "request"
    PREVIEW = "preview"
    UNDO = "undo"
    LIVE = "live"

    @property
    def by_hand(self) -> bool:
        """Whether a user requested this run."""
        return self in {Trigger.MANUAL, Trigger.REQUEST}

    def merged(self, earlier: Trigger) -> Trigger:
        """The reason of one run for two requests: a user's request before an edit, and an edit before all others."""
        if earlier.by_hand:
            return earlier
        return self if self.by_hand or self is Trigger.EDIT else earlier

    @property
    def words(self) -> str:
        """How a sentence says it: `run 12 (by hand)`."""
        words = {
            Trigger.SCHEDULE: "by its schedule",
            Trigger.CATCH_UP: "because it was due",
            Trigger.EDIT: "after an edit of the definition",
            Trigger.MANUAL: "by hand",
            Trigger.REQUEST: "on request",
            Trigger.UNDO: "to undo another run",
        }
        return words.get(self, self.value)


class Outcome(StrEnum):
    """How a run ended."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    HELD = "held"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"


class Auth(StrEnum):
    """How the daemon authenticates to the directory.

    SIMPLE: user and password, or anonymously. KERBEROS: a ticket of the daemon. EXTERNAL: the client certificate.
    """

    SIMPLE = "simple"
    KERBEROS = "kerberos"
    EXTERNAL = "external"


class Mode(StrEnum):
    """What a run reads from the directory.

    FULL: all entries. INCREMENTAL: the changes since the last run. COUNTERS: only change counters, which were the same.
    UNDO: nothing.
    """

    FULL = "full"
    INCREMENTAL = "incremental"
    COUNTERS = "counters"
    UNDO = "undo"


class Absence(StrEnum):
    """How a run finds the contacts whose entries are gone.

    UNMATCHED: no entry had their fingerprint. REPORTED: the directory named their keys as deleted. NOT_LISTED: their
    keys are not among all the keys that the directory listed.
    """

    UNMATCHED = "unmatched"
    REPORTED = "reported"
    NOT_LISTED = "not_listed"


class Tls(StrEnum):
    """How a connection is protected. AUTO: LDAPS for ldaps://, otherwise StartTLS unless the bind is anonymous."""

    AUTO = "auto"
    LDAPS = "ldaps"
    STARTTLS = "starttls"
    NONE = "none"


class Policy(StrEnum):
    """When a run writes a field of a synchronized contact.

    DIRECTORY: always. FILL: only while the field is blank. INSERT: only when the contact is created.
    """

    DIRECTORY = "directory"
    FILL = "fill"
    INSERT = "insert"


@dataclass(frozen=True, slots=True)
class Actor:
    """A user who does something. `kind` is how the user was identified; `via` is the way: api, cli, web, daemon.

    A person at the web console has `how` the person signed in, and the `address` of the browser.
    """

    kind: str
    name: str
    via: str
    how: str | None = None
    address: str | None = None

    @property
    def label(self) -> str:
        """The name where the kind is not beside it: `anna`, `token helpdesk`, `anna (web)`."""
        if self.kind == "web":
            return f"{self.name} (web)"
        return f"token {self.name}" if self.kind == "token" else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDefinition:
    """The ids of a definition, its name, and the name and owner of its folder."""

    folder_id: int
    definition_id: int
    folder: str
    owner: str | None = None
    name: str = FIRST_DEFINITION

    @property
    def key(self) -> dict[str, int]:
        """Its primary key, as parameters of a statement."""
        return {"folder_id": self.folder_id, "definition_id": self.definition_id}

    @property
    def label(self) -> str:
        """The name for users: `Staff`, `anna/Private`, and `Staff:branch` for a second definition of a folder."""
        return self.folder_label if self.name == FIRST_DEFINITION else f"{self.folder_label}:{self.name}"

    @property
    def folder_label(self) -> str:
        """The name of its folder for users: `Staff`, `anna/Private`."""
        return f"{self.owner}/{self.folder}" if self.owner else self.folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition(NamedDefinition):
    """A row of `sync_definitions` with the name and owner of its folder."""

    query: str = ""
    user: str | None = None
    password_sealed: bytes | None = field(default=None, repr=False)
    password_new: bytes | None = field(default=None, repr=False)
    password_ref: str | None = None
    base: str | None = None
    scope: str | None = None
    filter: str | None = None
    filter_only: bool = False
    mapping: dict[str, Any] | None = None
    schedule: str = "every 15m"
    time_zone: str = "UTC"
    mode: str = "auto"
    jitter_seconds: int = 0
    auth: Auth = Auth.SIMPLE
    tls: Tls = Tls.AUTO
    tls_verify: bool = True
    tls_minimum: str | None = None
    tls_ca_file: str | None = None
    tls_ca_pem: str | None = field(default=None, repr=False)
    tls_client_cert: str | None = None
    tls_client_key: str | None = None
    max_delete_count: int | None = None
    max_delete_share: float | None = None
    allow_empty: bool = False
    deadline_seconds: int | None = None
    page_size: int | None = None
    enabled: bool = True
    revision: int = 1

    @property
    def lacks_password(self) -> bool:
        """Whether its user needs a password, and it neither stores one nor refers to one."""
        return self.auth is Auth.SIMPLE and bool(self.user) and not self.brings_password

    @property
    def brings_password(self) -> bool:
        """Whether it stores a password, has a new one that was sealed by SQL, or refers to one."""
        return bool(self.password_sealed or self.password_new or self.password_ref)


@dataclass(frozen=True, slots=True)
class TrimmedValue:
    """A value that a run dropped or changed: its entry, the field of the contact, and a clause that says why."""

    dn: str
    key: str
    fingerprint: bytes
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class MappedEntry:
    """A directory entry as a contact: `values` follow the order of the mapping's field names.

    A TEXT value is str or None, a LIST value is a list of str (empty if blank), the PHOTO is bytes or None. `trimmed`
    counts the attribute values that were dropped or changed, and `trimmed_values` are the first ones.
    """

    key: str
    dn: str
    fingerprint: bytes
    values: tuple[Any, ...]
    trimmed: int = 0
    trimmed_values: tuple[TrimmedValue, ...] = ()


@dataclass(slots=True)
class MappedBatch:
    """Directory entries as contacts, by column.

    `columns` follow the mapping's field names; each has one value per key, as in MappedEntry, except that a blank TEXT
    may also be "". A column without any value is None. `trimmed` is the sum, and `trimmed_values` are the first ones.
    """

    keys: list[str]
    dns: list[str]
    fingerprints: list[bytes]
    columns: tuple[list[Any] | None, ...]
    trimmed: int = 0
    trimmed_values: tuple[TrimmedValue, ...] = ()
    rejected: tuple[RejectedEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class RejectedEntry:
    """An entry that cannot become a contact. An existing contact of this entry stays unchanged."""

    dn: str
    key: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers of a plan. A refresh updates a contact's fingerprint only.

    `returned` counts the inserts with an earlier id. `contacts` counts the existing contacts; None if it is not needed,
    since counting may take longer than the rest of an incremental run. `recognised` counts the updates of contacts
    whose entries have another identity than before, by the key of their recognition. `clears` counts the updates
    that may leave a field blank.
    """

    inserts: int = 0
    updates: int = 0
    refreshes: int = 0
    deletes: int = 0
    rejected: int = 0
    returned: int = 0
    contacts: int | None = None
    recognised: tuple[tuple[str, int], ...] = ()
    clears: int = 0
    deleted_names: tuple[str, ...] = ()
    rejected_sample: tuple[tuple[str, str], ...] = ()

    @property
    def changes(self) -> int:
        """The number of contacts that the plan inserts, updates or deletes."""
        return self.inserts + self.updates + self.deletes

    @property
    def rekeyed(self) -> int:
        """The number of updated contacts whose entries have another identity than before."""
        return sum(number for _, number in self.recognised)


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one contact: `fields` is {field: [before, after]}, empty for a recorded insert.

    `matched_by` is the key by which the contact was recognised under another identity of its entry.
    """

    contact_id: int
    action: str
    display_name: str | None
    fields: dict[str, list[Any]]
    matched_by: str | None = None


@dataclass(slots=True)
class Counts:
    """The numbers of a run, in entries and contacts."""

    entries: int = 0
    unchanged: int = 0
    refreshed: int = 0
    rejected: int = 0
    references: int = 0
    trimmed: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    rekeyed: int = 0

    def by_name(self) -> dict[str, int]:
        """All of them; dataclasses.asdict takes ten times as long."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Certificates:
    """When the certificates of a run's connection expire, for the log and the metrics; None if there is none.

    `unchecked` says whether TLS was used without checking the server's certificate.
    """

    server_expires_at: datetime | None = None
    client_expires_at: datetime | None = None
    unchecked: bool = False


@dataclass(frozen=True, slots=True)
class FurtherAttempt:
    """An attempt of a run after one that failed with `error`, a sentence; `number` is 2 for the first such attempt."""

    number: int
    most: int
    error: str


@dataclass(slots=True)
class RunReport:
    """The result of one run, as it is recorded, logged and shown."""

    run_id: int
    definition: Definition
    trigger: Trigger
    started_at: datetime
    finished_at: datetime | None = None
    """When the record was closed; None before, and for a preview."""
    mode: Mode = Mode.FULL
    full_reason: str | None = None
    """Why the run read all entries although it could have read changes only; None if there was no other way."""
    outcome: Outcome = Outcome.FAILED
    counts: Counts = field(default_factory=Counts)
    seconds: dict[str, float] = field(default_factory=dict)
    """The duration of each stage."""
    server: str | None = None
    skipped_servers: tuple[str, ...] = ()
    """The servers that precede `server` in the list and were not available."""
    certificates: Certificates = field(default_factory=Certificates)
    attempts: int = 0
    further_attempt: FurtherAttempt | None = None
    """The attempt that is made or waited for, if one has failed; None at the end of a run."""
    error_code: str | None = None
    error: str | None = None
    error_may_pass: bool = False
    """Whether the next run may succeed without an administrator's action."""
    held_reason: str | None = None
    confirm_seconds: float | None = None
    """After how many seconds another run has to read the same changes again; None if the server's log is complete."""
    source_digest: bytes | None = None
    """Digest of the source that the folder is in sync with; None if the run did not bring the folder in sync."""
    mapping_digest: bytes | None = None
    """Digest of the mapping that the contacts were made with; None as above."""
    plan: Plan | None = None
    trimmed_values: list[TrimmedValue] = field(default_factory=list)
    """The first values that were dropped or changed."""
    undoes: int | None = None
    """The run that this run took back."""
    node: str | None = None
    """The node of the fleet that made it."""

    @property
    def is_idle(self) -> bool:
        """Whether a report of the directory started the run, and it read an increment with nothing to do."""
        return (
            self.trigger is Trigger.LIVE
            and self.mode is not Mode.FULL
            and self.outcome is Outcome.UNCHANGED
            and not (self.counts.rejected or self.counts.trimmed)
        )

    @property
    def credentials_refused(self) -> bool:
        """Whether the directory refused the user or the password. Automatic retries could lock the account."""
        return (self.error_code or "").startswith(CredentialsRefused.code)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do: its report, and the first changes of its plan."""

    report: RunReport
    changes: tuple[Change, ...] = ()

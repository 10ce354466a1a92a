"""Folders in every state, with people of many scripts and with hostile names: what the pages of the console show."""

from __future__ import annotations

from typing import Any, NamedTuple

from contactsync.testing.company import administered
from contactsync.testing.people import Person, department_dn, ldif_record, people_ldif
from tests.support.daemon_client import DaemonClient

PEOPLE = 120
SCRIPT = "<script>document.title='broken'</script><img src=x onerror=document.title='broken'>"
BIDI = "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe \N{LEFT-TO-RIGHT ISOLATE}Anna"
LONG = "W" * 10_000
NAMES = {
    "script": SCRIPT,
    "bidi": BIDI,
    "long": LONG,
    "chinese": "王秀英",
    "japanese": "山田 太郎",
    "arabic": "محمد عبد الله",
    "hebrew": "שרה כהן",
    "umlaut": "Günther Müller",
    "quoted": "Ann \"'&amp; O'Neill",
}
PAST_RUNS = (
    (29, "changed", 900, 0), (20, "held", 0, 0), (12, "failed", 0, 0), (12, "failed", 0, 0), (4, "changed", 12, 3),
    (1, "unchanged", 0, 0),
)  # fmt: skip
"""Days before today, outcome, added and deleted contacts."""
HOSTILE_UNIT = "ou=Unusual,ou=people,dc=example,dc=test"


class Scene(NamedTuple):
    """The definitions by what they are, and the runs that pages are about."""

    definitions: dict[str, int]
    folders: dict[str, int]
    changed_run: int
    held_run: int
    failed_run: int
    contact: int
    hostile_contact: int

    @property
    def paths(self) -> dict[str, int]:
        """The numbers in the addresses of pages, by name."""
        folders = {f"{name}_folder": number for name, number in self.folders.items()}
        others = {name: getattr(self, name) for name in self._fields[2:]}
        return {**self.definitions, **folders, **others}


def scene_ldif() -> str:
    """The directory: people, and those with unusual names."""
    unit = ldif_record(HOSTILE_UNIT, {"objectClass": ["organizationalUnit"], "ou": ["Unusual"]})
    return (
        people_ldif(PEOPLE, seed=7)
        + unit
        + "".join(
            ldif_record(each.dn, each.attributes) for each in (_unusual(uid, name) for uid, name in NAMES.items())
        )
    )


def set_scene(client: DaemonClient) -> Scene:
    """Add folders in every state beside `Staff`, which a daemon has filled from `scene_ldif`."""
    made = {"staff": client.staff}
    base = client.directory.suffix
    _change_people(client)
    changed = client.run(made["staff"])["run_id"]
    made["sales"], held = hold(client, "Sales")
    made["unusual"] = client.define(f"{SCRIPT[:60]} {BIDI}", base=HOSTILE_UNIT)
    client.run(made["unusual"])
    made["offline"] = client.define("Offline", query="ldap://127.0.0.1:9")
    failed = client.run(made["offline"])["run_id"]
    made["locked"] = client.define("Locked", bind_user=client.directory.limited_dn)
    client.run(made["locked"])
    made["berlin"] = client.define("Berlin", base=f"ou=Support,ou=people,{base}")
    client.run(made["berlin"])
    made["paused"] = client.define("連絡先", enabled=False)
    made["new"] = client.define("جهات الاتصال", schedule="every 1d")
    have_run_before(client, made["new"])
    client.run(made["new"])
    made["empty"] = client.define("Nobody yet", filter="(uid=none)")
    client.run(made["empty"])
    made["never"] = client.define("Never run")
    made["invalid"] = client.define("Private", query="http://dc1.example.com")
    client.person.execute("UPDATE contactsync.folders SET owner = 'anna' WHERE name = 'Private'")
    rows = client.person.execute("SELECT definition_id, folder_id FROM contactsync.sync_definitions").fetchall()
    folders: dict[int, int] = dict(rows)
    of = {name: folders[number] for name, number in made.items()}
    edited = client.get(f"/v1/runs/{changed}", action="update", limit=1)["changes"][0]["contact_id"]
    hostile = _contact_named(client, of["unusual"], "<script>")
    return Scene(made, of, changed, held, failed, edited, hostile)


def have_run_before(client: DaemonClient, definition_id: int) -> None:
    """Record runs of the days before: what they changed, one that was held, and two on one day that failed."""
    for days, outcome, inserted, deleted in PAST_RUNS:
        client.person.execute(
            """
            INSERT INTO contactsync.sync_runs
                (folder_id, definition_id, definition, trigger, outcome, inserted, deleted, started_at, finished_at)
            SELECT folder_id, definition_id, name, 'schedule', %s, %s, %s, at, at + interval '3 s'
            FROM contactsync.sync_definitions, (SELECT now() - make_interval(days => %s)) AS t (at)
            WHERE definition_id = %s
            """,
            [outcome, inserted, deleted, days, definition_id],
        )


def _contact_named(client: DaemonClient, folder_id: int, beginning: str) -> int:
    contacts = client.get(f"/v1/folders/{folder_id}/contacts", limit=1000)["contacts"]
    return next(int(each["contact_id"]) for each in contacts if (each["display_name"] or "").startswith(beginning))


def _change_people(client: DaemonClient) -> None:
    with administered(client.directory) as company:
        people = [each for each in company.people() if each.has("telephoneNumber", "mail") and "Unusual" not in each.dn]
        for entry, number in zip(people[:6], range(6), strict=False):
            company.edit(entry, {"telephoneNumber": [f"+49 30 555 010{number}"], "title": ["Team lead"]})
        for entry in people[6:8]:
            company.delete(entry)
        company.add(_person("neu1", "Jürgen Groß", department_dn("Sales")))


def _unusual(uid: str, name: str) -> Person:
    return _person(uid, name, HOSTILE_UNIT)


def _person(uid: str, name: str, unit: str) -> Person:
    values: dict[str, Any] = {
        "objectClass": ["inetOrgPerson"],
        "uid": [uid],
        "cn": [name],
        "displayName": [name],
        "sn": [name],
        "mail": [f"{uid}@example.test"],
        "title": [name],
        "telephoneNumber": ["+49 30 555 0199"],
        "departmentNumber": ["Unusual"],
    }
    return Person(f"uid={uid},{unit}", values)


def hold(client: DaemonClient, name: str) -> tuple[int, int]:
    """Fill a new folder, and have a run held that would delete most of it: the ids of definition and run."""
    definition_id = client.define(name, base=f"ou=people,{client.directory.suffix}")
    client.run(definition_id)
    client.person.execute(
        "UPDATE contactsync.sync_definitions SET filter = '(l=Berlin)' WHERE definition_id = %s", [definition_id]
    )
    return definition_id, int(client.run(definition_id)["run_id"])


def hold_cleared(client: DaemonClient, name: str) -> tuple[int, int]:
    """Fill a new folder, and have a run held that would clear the city of everybody: the ids of definition and run."""
    definition_id = client.define(name, base=f"ou=people,{client.directory.suffix}")
    client.run(definition_id)
    mapping = """{"fields": {"city": "carLicense"}}"""
    client.person.execute(
        "UPDATE contactsync.sync_definitions SET mapping = %s WHERE definition_id = %s", [mapping, definition_id]
    )
    return definition_id, int(client.run(definition_id)["run_id"])

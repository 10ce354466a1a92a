"""The folders and rights of a company, for tests of what people may do at the web console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.web_door import WebDoor, web_door


class Company:
    """A socket of the web console with three folders.

    `staff` is shared, with ed and the group editors as editors; `board` is shared with vi only; `private` is anna's.
    """

    def __init__(self, door: WebDoor) -> None:
        self.local, self.http = door.local, door.http
        self.ask, self.get, self.give, self.folder = door.ask, door.get, door.give, door.folder
        self.staff = door.local.staff
        self.board = door.local.define("Board")
        self.private = door.local.define("Private")
        door.local.person.execute("UPDATE contactsync.folders SET owner = 'anna' WHERE name = 'Private'")
        for definition_id in (self.board, self.private):
            door.local.run(definition_id)
        self._ids: dict[int, dict[str, int]] = {}
        group = {"who": "editors", "is_group": True, "right": "edit"}
        assert self.give(self.staff, {"who": "ed", "right": "edit"}, group).status_code == 200
        assert self.give(self.board, {"who": "vi", "right": "view"}).status_code == 200

    def ids(self, definition_id: int) -> dict[str, int]:
        """The ids in paths for a definition: its own, of its folder, of a contact, of a run and of a request."""
        if definition_id not in self._ids:
            folder_id = self.folder(definition_id)
            (contact, *_) = self.local.get(f"/v1/folders/{folder_id}/contacts", limit=1)["contacts"]
            (run, *_) = self.local.get("/v1/runs", definition_id=definition_id, limit=1)["runs"]
            request = self.local.post(f"/v1/definitions/{definition_id}/sync", 202)
            ids = {"folder_id": folder_id, "definition_id": definition_id, "request_id": request["request_id"]}
            self._ids[definition_id] = ids | {"contact_id": contact["contact_id"], "run_id": run["run_id"]}
        return self._ids[definition_id]


@contextmanager
def company(database: str, place: Path, **settings: Any) -> Iterator[Company]:
    """Start a company in which people may have personal folders."""
    rules = {"PERSONAL_FOLDERS": "true", "OWNERS_APPROVE": "30", **settings}
    with web_door(database, place, **rules) as door:
        yield Company(door)

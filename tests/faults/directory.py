"""The rules of the state machine that change the directory."""

from __future__ import annotations

from typing import Any, ClassVar

import ldap3
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.faults.choices import UIDS, UNITS, attributes
from tests.faults.world import World


class ChangingDirectory(RuleBasedStateMachine):
    """People who are added, changed, moved and deleted; `dns` are the DNs of the entries by uid."""

    world: ClassVar[World]
    admin: ClassVar[ldap3.Connection]

    def __init__(self) -> None:
        super().__init__()
        self.dns: dict[str, str] = {}

    @initialize(people=st.dictionaries(st.sampled_from(UIDS), attributes, min_size=2, max_size=8))
    def begin(self, people: dict[str, dict[str, Any]]) -> None:
        """Add some people."""
        for number, (uid, values) in enumerate(people.items()):
            self._add(uid, UNITS[number % 2], values)

    @rule(uid=st.sampled_from(UIDS), unit=st.sampled_from(UNITS), values=attributes)
    def add_or_replace(self, uid: str, unit: str, values: dict[str, Any]) -> None:
        """Add a person; an entry of that name is deleted before."""
        if uid in self.dns:
            self.admin.delete(self.dns.pop(uid))
        self._add(uid, unit, values)

    @precondition(lambda self: self.dns)
    @rule(data=st.data(), values=attributes)
    def modify(self, data: st.DataObject, values: dict[str, Any]) -> None:
        """Set and delete attributes."""
        changes = {name: [("MODIFY_REPLACE", _listed(values.get(name, [])))] for name in [*values, "title", "mail"]}
        self.admin.modify(self.dns[self._person(data)], changes)

    @precondition(lambda self: self.dns)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Delete a person."""
        self.admin.delete(self.dns.pop(self._person(data)))

    @rule()
    def delete_all(self) -> None:
        """Delete everyone."""
        while self.dns:
            self.admin.delete(self.dns.popitem()[1])

    @precondition(lambda self: self.dns)
    @rule(data=st.data(), unit=st.sampled_from(UNITS))
    def move(self, data: st.DataObject, unit: str) -> None:
        """Move a person, perhaps with another name."""
        uid = self._person(data)
        free = [name for name in (uid, *UIDS) if name == uid or name not in self.dns]
        name = data.draw(st.sampled_from(free))
        parent = f"{unit},{self.world.slapd.people_base}"
        if self.dns[uid] != f"uid={name},{parent}":
            self.admin.modify_dn(self.dns.pop(uid), f"uid={name}", new_superior=parent)
            self.dns[name] = f"uid={name},{parent}"

    def _add(self, uid: str, unit: str, values: dict[str, Any]) -> None:
        dn = f"uid={uid},{unit},{self.world.slapd.people_base}"
        attributes = {name: _listed(value) for name, value in values.items()}
        self.admin.add(dn, "inetOrgPerson", {"uid": uid, "cn": f"{uid} {values['sn']}", **attributes})
        self.dns[uid] = dn

    def _person(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.dns)))


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]

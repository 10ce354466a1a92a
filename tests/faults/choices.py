"""The values of the state machine: few of each, so that they often meet."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.proxy import Harm

UNITS = ("ou=A", "ou=B")
UIDS = [f"p{number}" for number in range(8)]
TITLES = ["Boss", "Clerk", " Clerk ", "Zoë", "Zoe\u0308"]
FILTERS = [None, "(title=Boss)", "(&(objectClass=inetOrgPerson)(|(title=Boss)(title=Clerk)))", "(uid=nobody)"]
BASES = [None, "ou=A,ou=people,dc=example,dc=test", "ou=B,ou=people,dc=example,dc=test"]
MODES = ["full", "incremental", "live"]
QUICK = [Harm.DELAY, Harm.CUT, Harm.RESET, Harm.REFUSE]

texts = st.sampled_from([*TITLES, "x, y", "a;b", "  ", "two\nlines"])
attributes = st.fixed_dictionaries(
    {"sn": st.sampled_from(["Berger", "Müller", "Ng"])},
    optional={
        "displayName": texts,
        "title": st.lists(st.sampled_from(TITLES[:2]), min_size=1, max_size=2, unique=True),
        "description": texts,
        "l": texts,
        "mail": st.lists(st.sampled_from(["a@x.test", "B@x.test", "c@x.test"]), min_size=1, max_size=3, unique=True),
        "telephoneNumber": st.sampled_from(["+49 30 1", "+49 30 2"]),
    },
)

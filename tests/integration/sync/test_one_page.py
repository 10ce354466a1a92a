"""Folders that fit into one page are read without paging, also when they grow and shrink."""

from __future__ import annotations

from collections.abc import Callable

from contactsync.model import Outcome
from contactsync.testing.people import make_people, people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, people

PAGE = 10


def test_a_folder_may_grow_and_shrink_around_a_page(
    make_folder: Callable[..., SyncedFolder], make_slapd: Callable[..., PrivateSlapd]
) -> None:
    """After each step the folder equals the directory, and each entry is counted once."""
    slapd = make_slapd(ldif=people_ldif(0))
    folder = make_folder(slapd, page_size=PAGE, max_delete_share=1)
    staff = list(make_people(40, suffix=slapd.suffix))
    count = 0
    for wanted in (2, PAGE // 2, PAGE, PAGE + 1, 4 * PAGE, PAGE, PAGE - 1, 3, 3 * PAGE):
        admin = slapd.connection()
        for person in staff[count:wanted]:
            admin.add(person.dn, attributes=person.attributes)
        for person in staff[wanted:count]:
            admin.delete(person.dn)
        admin.unbind()
        report = folder.run()
        assert (report.outcome, report.counts.entries) == (Outcome.CHANGED, wanted)
        assert (report.counts.inserted, report.counts.deleted) == (max(0, wanted - count), max(0, count - wanted))
        assert report.attempts == 1
        assert folder.contacts() == people(slapd)
        assert folder.run().counts.unchanged == wanted
        count = wanted

"""The document of a run while the run's thread goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from contactsync.model import Definition, RunReport, Trigger
from contactsync.sync.document import RunningDocument


class Growing(dict[str, float]):
    """Stages that another thread adds to, so that to go through them fails, as it sometimes does."""

    def items(self) -> Any:
        """See dict."""
        raise RuntimeError("dictionary changed size during iteration")


def test_a_stage_may_begin_while_the_document_is_made() -> None:
    """Status and run are on threads of their own."""
    definition = Definition(folder_id=1, definition_id=2, folder="Staff", owner=None, name="directory")
    report = RunReport(3, definition, Trigger.MANUAL, datetime.now(UTC), seconds=Growing(search=2.0))
    document = RunningDocument.of(report)
    assert (document.stages, document.seconds) == ({"search": 2.0}, 2.0)

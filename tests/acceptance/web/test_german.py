"""Pages in German: the daemon's sentences are translated by their codes."""

from __future__ import annotations

import re

import pytest

from tests.support.web import Console
from tests.support.web_scene import Scene

FAILING = {
    "/": "Es gibt keine Verbindung zum Server",
    "/folders/{offline}": "Es gibt keine Verbindung zum Server",
    "/folders/{locked}": "Das Verzeichnis hat den Benutzer oder das Passwort abgelehnt",
    "/folders/{invalid}": "Die LDAP-Abfrage hat keine der möglichen Formen|Die Einstellungen des Ordners sind ungültig",
    "/folders/{sales}": "Der Lauf würde mehr Kontakte löschen",
    "/runs/{failed_run}": "Es gibt keine Verbindung zum Server",
    "/runs/{held_run}": "Der Lauf würde mehr Kontakte löschen",
    "/runs/999999": "Diesen Ordner, Lauf oder Kontakt gibt es nicht",
}


@pytest.mark.parametrize("path", FAILING)
def test_what_went_wrong_is_said_in_german(pages: Console, scene: Scene, path: str) -> None:
    """The daemon's own sentence follows, marked as English."""
    answer = pages.administrator().get(path.format(**scene.paths), headers={"Accept-Language": "de"})
    assert re.search(rf"({FAILING[path]}).* <span class=\"original[^>]* lang=\"en\"", answer.text), answer.text


def test_a_wrong_field_is_marked_in_german(pages: Console, scene: Scene) -> None:
    """In the form, and in the list above it."""
    path, body = (
        "/folders/{staff}/settings".format(**scene.paths),
        {"do": "save", "filter": "((l=Berlin)", "schedule": "x"},
    )
    answer = pages.administrator().post(path, data=body, headers={"Accept-Language": "de"})
    assert answer.status_code == 422
    assert answer.text.count("Der Filter der Suche ist ungültig.") == 2
    assert "Der Zeitplan oder seine Zeitzone ist ungültig." in answer.text

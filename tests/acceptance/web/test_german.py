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


def test_a_test_and_a_preview_are_in_german(pages: Console, scene: Scene) -> None:
    """What each step found, from its data; English is only what says what to do about a warning or a fault."""
    german = {"Accept-Language": "de"}
    admin, path = pages.administrator(), "/folders/{staff}/settings".format(**scene.paths)
    tested = admin.post(path, data={"do": "test"}, headers=german).text
    steps = re.findall(r"<li>(.*?)</li>", tested.partition('class="steps"')[2], re.DOTALL)
    assert len(steps) > 8
    for step in steps:
        assert ("Warnung" in step) == ('lang="en"' in step.partition("<details>")[0]), step
    for words in (
        "Alle Angaben sind gültig.",
        " ms geantwortet.",
        "die Basis und alles darunter",
        " nimmt den Benutzer ",
    ):
        assert words in tested
    assert re.search(r"findet 1[0-9]{2} Einträge\.", tested)
    assert "Ein Lauf würde 0 Kontakte hinzufügen, 0 ändern und 0 löschen." in tested
    failed = admin.post("/folders/{offline}/settings".format(**scene.paths), data={"do": "test"}, headers=german).text
    assert re.search('Es gibt keine Verbindung zum Server.* <span class="original[^>]* lang="en"', failed)
    planned = admin.post(path, data={"do": "preview", "filter": "(uid=none)"}, headers=german).text
    assert (
        "Der Lauf würde mehr Kontakte löschen oder mehr Felder leeren, als er ohne eine Entscheidung darf." in planned
    )


@pytest.mark.parametrize(
    ("folder", "who", "words"),
    [
        ("staff", "neu1@example.test", "Diese Person ist im Ordner."),
        ("unusual", "neu1@example.test", "die Einstellungen des Ordners schließen den Eintrag aus."),
        (
            "staff",
            "no such person",
            "Das Verzeichnis hat keine solche Person, die der Benutzer des Ordners lesen darf.",
        ),
        ("offline", "neu1", "Das Verzeichnis konnte nicht durchsucht werden."),
    ],
)
def test_why_a_person_is_here_is_said_in_german(
    pages: Console, scene: Scene, folder: str, who: str, words: str
) -> None:
    """The daemon's sentence with the names follows."""
    path = f"/folders/{scene.definitions[folder]}/explain"
    answer = pages.administrator().get(path, params={"who": who}, headers={"Accept-Language": "de"})
    assert re.search(rf'{words} <span class="original[^>]* lang="en"', answer.text), answer.text

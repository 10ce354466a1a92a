"""The sentences about a sign-in by a provider that failed, and what the browser keeps meanwhile."""

from __future__ import annotations

import pytest

from contactsync.web.language import LANGUAGES, use_language
from contactsync.web.signin.oidc.failures import Reason, SignInFailed, sentence
from contactsync.web.signin.oidc.sealed import Sealer


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_a_sentence_in_each_language(reason: Reason) -> None:
    """With a status of an error, and without what only the log may have."""
    failure = SignInFailed(reason, "the detail", user="anna", minutes=7)
    texts = set()
    for language in LANGUAGES:
        use_language(language)
        texts.add(sentence(failure, "sso.example.com"))
    use_language("en")
    assert len(texts) == len(LANGUAGES)
    assert all(text.endswith(".") and "%(" not in text and "the detail" not in text for text in texts)
    assert failure.status in {400, 403, 503}


def test_only_this_process_opens_what_it_sealed_and_not_for_long() -> None:
    """Nothing is kept of a text that is too long for a cookie."""
    now = [1000.0]
    sealer = Sealer(10, lambda: now[0])
    sealed = sealer.seal({"name": "Jörg"})
    assert sealer.open(sealed) == {"name": "Jörg"}
    assert Sealer(10, lambda: now[0]).open(sealed) == sealer.open(f"{sealed[:-4]}AAA=") == {}
    now[0] += 11
    assert sealer.open(sealed) == sealer.open("") == {}
    assert sealer.seal({str(number): str(hash(str(number))) for number in range(1000)}) == ""

"""Sealed bind passwords, their key file, and references to passwords."""

from __future__ import annotations

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from structlog.testing import capture_logs

from contactsync.bootstrap import allowed_references
from contactsync.credentials.references import References, check_reference, resolve_reference
from contactsync.credentials.sealing import SecretBox
from contactsync.errors import SecretError
from contactsync.settings.schema import Settings

ANY = References(("file:*", "credential:*", "env:*"))
ROW: dict[str, Any] = {"folder_id": 1, "definition_id": 2, "destination": b"ldaps://dc1.example.com"}
PASSWORD = "Pä55wörd \N{FOX FACE}"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A path for a key, in a directory that does not exist yet."""
    return tmp_path / "state" / "secret.key"


@pytest.fixture
def box(key_file: Path) -> SecretBox:
    """A box with a new key."""
    return SecretBox.from_file(key_file)


@pytest.fixture
def sealed(box: SecretBox) -> bytes:
    """A password, sealed with the box for ROW."""
    return box.seal(PASSWORD, **ROW)


def test_a_sealed_password_opens_again(sealed: bytes, key_file: Path) -> None:
    """Also by another box with the same key file."""
    assert PASSWORD.encode() not in sealed
    assert SecretBox.from_file(key_file).open(sealed, **ROW) == PASSWORD


def test_sealing_twice_gives_different_octets(box: SecretBox, sealed: bytes) -> None:
    """Two rows do not reveal that they have the same password."""
    assert box.seal(PASSWORD, **ROW) != sealed


@pytest.mark.parametrize(
    "other",
    [
        {"definition_id": 3},
        {"folder_id": 3},
        {"folder_id": 2, "definition_id": 1},
        {"destination": b"ldaps://evil.example.com"},
    ],
)
def test_a_sealed_password_does_not_open_elsewhere(box: SecretBox, sealed: bytes, other: dict[str, Any]) -> None:
    """In another folder or definition, or for another destination; the error names what may have been edited."""
    words = "other servers, another user or other TLS settings .* or to another definition"
    with pytest.raises(SecretError, match=words):
        box.open(sealed, **ROW | other)


def test_every_changed_octet_is_detected(box: SecretBox, sealed: bytes) -> None:
    """The value does not open."""
    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 1
        with pytest.raises(SecretError):
            box.open(bytes(changed), **ROW)


@pytest.mark.parametrize("length", [0, 1, 5, 17, 32])
def test_a_truncated_value_is_refused(box: SecretBox, sealed: bytes, length: int) -> None:
    """Its error is not one of the cipher."""
    with pytest.raises(SecretError, match="was not sealed by contactsync"):
        box.open(sealed[:length], **ROW)


def test_another_key_is_named_as_the_reason(sealed: bytes, tmp_path: Path) -> None:
    """With both key ids."""
    with pytest.raises(SecretError, match="sealed with another key") as caught:
        SecretBox.from_file(tmp_path / "other.key").open(sealed, **ROW)
    assert sealed[1:5].hex() in caught.value.message


def test_a_box_does_not_show_its_key(box: SecretBox, key_file: Path) -> None:
    """Its repr has the key's id only."""
    key = base64.b64decode(key_file.read_bytes())
    assert key.hex() not in repr(box)
    assert key_file.read_text(encoding="utf-8").strip() not in repr(box)


def test_the_key_file_is_for_its_owner_alone(box: SecretBox, key_file: Path) -> None:
    """A new key is 32 octets in base64, mode 0600, alone in a directory of mode 0700."""
    assert repr(box)
    assert len(base64.b64decode(key_file.read_bytes().strip(), validate=True)) == 32
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert key_file.parent.stat().st_mode & 0o777 == 0o700
    assert list(key_file.parent.iterdir()) == [key_file]


def test_concurrent_processes_agree_on_the_key(tmp_path: Path) -> None:
    """Each of them found no key file."""
    together = Barrier(8)

    def first_box(path: Path) -> str:
        together.wait()
        return repr(SecretBox.from_file(path))

    with ThreadPoolExecutor(8) as pool:
        for round_ in range(20):
            assert len(set(pool.map(first_box, [tmp_path / str(round_)] * 8))) == 1


@pytest.mark.parametrize("mode", [0o644, 0o602, 0o620])
def test_a_key_open_to_others_is_refused(box: SecretBox, key_file: Path, mode: int) -> None:
    """Readable or writable; the error has the command that corrects it."""
    assert repr(box)
    key_file.chmod(mode)
    with pytest.raises(SecretError) as caught:
        SecretBox.from_file(key_file)
    assert caught.value.hint == f"Run: chmod 600 {key_file}"


def test_a_systemd_credential_may_be_the_key(box: SecretBox, key_file: Path) -> None:
    """It is readable by its group, as systemd's access lists show it."""
    key_file.chmod(0o440)
    assert repr(SecretBox.from_file(key_file)) == repr(box)


@pytest.mark.parametrize("content", [b"", b"c2hvcnQ=", b"not base64!", b"\xff\x00", b"A" * 100_000])
def test_a_damaged_key_file_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    """It is an error."""
    path = tmp_path / "secret.key"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(SecretError):
        SecretBox.from_file(path)
    assert path.read_bytes() == content


def test_a_link_to_a_missing_key_is_refused(tmp_path: Path) -> None:
    """Its target may be a store that is not mounted; nothing is created."""
    link = tmp_path / "secret.key"
    link.symlink_to(tmp_path / "vault" / "key")
    with pytest.raises(SecretError, match=f"is a link to {tmp_path}/vault/key, which does not exist"):
        SecretBox.from_file(link)
    assert list(tmp_path.iterdir()) == [link]


def test_a_key_that_cannot_be_created(tmp_path: Path) -> None:
    """The error has the path and the system's reason."""
    (tmp_path / "file").touch()
    with pytest.raises(SecretError, match=r"cannot be (made|read): Not a directory"):
        SecretBox.from_file(tmp_path / "file" / "secret.key")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_made_by_root_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    """The daemon's user can read it after `sudo contactsync ...`."""
    os.chown(tmp_path, 65534, 65534)
    SecretBox.from_file(tmp_path / "secret.key")
    assert (tmp_path / "secret.key").stat().st_uid == 65534


@pytest.mark.parametrize("password", ["", "broken \udc80"])
def test_unusable_passwords_are_not_sealed(box: SecretBox, password: str) -> None:
    """An empty password, which would be an unauthenticated bind, and one that is not UTF-8."""
    with pytest.raises(SecretError) as caught:
        box.seal(password, **ROW)
    assert "broken" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b" with spaces \n", " with spaces "),
        ("пароль\n".encode(), "пароль"),
    ],
)
def test_a_file_gives_its_line(tmp_path: Path, content: bytes, password: str) -> None:
    """The whole file without its line end, by path or as a systemd credential."""
    path = tmp_path / "ldap"
    path.touch(mode=0o600)
    path.write_bytes(content)
    assert resolve_reference(f"file:{path}", {}, ANY) == password
    assert resolve_reference("credential:ldap", {"CREDENTIALS_DIRECTORY": str(tmp_path)}, ANY) == password


def test_the_environment_gives_a_password() -> None:
    """The unchanged value of the variable."""
    assert resolve_reference("env:LDAP_PASSWORD", {"LDAP_PASSWORD": " x "}, ANY) == " x "


def test_a_password_file_open_to_others_is_used_with_a_warning(tmp_path: Path) -> None:
    """Containers mount secrets like that; the log does not have the password."""
    path = tmp_path / "ldap"
    path.write_text("sekret", encoding="utf-8")
    path.chmod(0o644)
    with capture_logs() as logs:
        assert resolve_reference(f"file:{path}", {}, ANY) == "sekret"
    assert [(entry["log_level"], entry["path"]) for entry in logs] == [("warning", str(path))]
    assert "sekret" not in str(logs)


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("env:NOT_SET", "The password's environment variable NOT_SET is not set."),
        ("env:EMPTY", "The password of env:EMPTY is empty."),
        ("env:BROKEN", "The password of env:BROKEN is not text in UTF-8."),
        ("file:{}/none", "The password of file:{}/none cannot be read: No such file or directory."),
        ("file:{}", "{} is not a file."),
        ("file:{}/pipe", "{}/pipe is not a file."),
        ("file:{}/latin1", "The password of file:{}/latin1 is not text in UTF-8."),
        ("file:{}/empty", "The password of file:{}/empty is empty."),
        ("file:{}/large", "{}/large is too large for a secret."),
        ("file:{}/lines", "The file of file:{}/lines has more than one line, so it is not a password."),
        ("credential:none", "The password of credential:none cannot be read: No such file or directory."),
    ],
)
def test_a_missing_password_is_an_error_with_its_reference(tmp_path: Path, reference: str, sentence: str) -> None:
    """And with the reason."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, content in (("latin1", b"\xe9"), ("empty", b"\n"), ("large", b"x" * 100_000), ("lines", b"[a]\nb=1\n")):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_bytes(content)
    environ = {"EMPTY": "", "BROKEN": "\udc80", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    with pytest.raises(SecretError) as caught:
        resolve_reference(reference.format(tmp_path), environ, ANY)
    assert caught.value.message == sentence.format(tmp_path)


def test_credentials_without_systemd_say_how_to_get_them() -> None:
    """The error says what the service needs."""
    with pytest.raises(SecretError) as caught:
        resolve_reference("credential:ldap", {}, ANY)
    assert "LoadCredential=ldap:" in caught.value.hint


@pytest.mark.parametrize(
    "reference",
    ["file:/etc/contactsync/reader", "file:/etc/contactsync/more/reader", "credential:reader", "env:LDAP_PASSWORD"],
)
def test_references_that_are_allowed_by_default(reference: str) -> None:
    """See settings.toml."""
    allowed_references(Settings()).check(reference)


@pytest.mark.parametrize(
    "reference",
    [
        "file:/etc/shadow",
        "file:/etc/contactsync/../shadow",
        "file:/etc/contactsync-of-others/x",
        "file:/var/lib/contactsync/secret.key",
        "env:PGPASSWORD",
        "env:CONTACTSYNC_DATABASE__URL",
    ],
)
def test_references_to_anything_else_are_refused(reference: str) -> None:
    """Otherwise an editor of a definition could have any readable file sent to a server."""
    with pytest.raises(SecretError, match="do not allow the reference") as caught:
        resolve_reference(reference, {}, allowed_references(Settings()))
    assert "[secrets]" in caught.value.hint


def test_the_key_and_the_settings_are_never_sent(box: SecretBox, key_file: Path, tmp_path: Path) -> None:
    """By whatever name, and whatever the settings allow."""
    assert "SecretBox" in repr(box)  # it has made its key
    (tmp_path / "link").symlink_to(key_file)
    allowed = References(ANY.patterns, never=(key_file,))
    names = (f"file:{key_file}", f"file:{tmp_path}/link", f"file:{tmp_path}/state/../state/secret.key")
    for reference in (*names, "credential:secret.key", "env:contactsync_database__url"):
        with pytest.raises(SecretError, match="do not allow the reference"):
            resolve_reference(reference, {"CREDENTIALS_DIRECTORY": str(tmp_path / "state")}, allowed)


@pytest.mark.parametrize("reference", ["env:LDAP_PW2", "file:/run/secrets/ldap pw", "credential:ldap.pw"])
def test_references_in_the_known_forms_are_accepted(reference: str) -> None:
    """The check does not look for the password."""
    check_reference(reference)


@pytest.mark.parametrize(
    "reference",
    [
        *("", "sekret", "vault:x", "ENV:A", "env:", "env:A-B", "env:1A", "env:Ä", "file:", "file:relative"),
        *("file:/a\0b", "credential:", "credential:..", "credential:../../etc/shadow", "credential:a/b"),
    ],
)
def test_references_in_other_forms_are_refused_unquoted(reference: str) -> None:
    """The text may be the password itself."""
    with pytest.raises(SecretError) as caught:
        check_reference(reference)
    assert str(caught.value) == (
        "The reference to the password has none of the known forms."
        " Write env:NAME, file:/absolute/path or credential:NAME."
    )

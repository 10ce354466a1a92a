"""Where the console listens, and where it refuses to."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from contactsync.errors import SettingsError
from contactsync.settings.web import Web
from contactsync.testing.certificates import make_certificates
from contactsync.web.listening import listening_socket


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_loopback_needs_no_tls(listen: str) -> None:
    """A web server in front has it."""
    with listening_socket(Web(listen=listen), {}) as listening:
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_another_address_needs_tls(listen: str, tmp_path: Path) -> None:
    """Or the setting that says in so many words that passwords may cross the network in plain text."""
    with pytest.raises(SettingsError) as caught:
        listening_socket(Web(listen=listen), {})
    assert "without TLS" in caught.value.message
    certificate = str(make_certificates(tmp_path).certificate)
    for settings in (Web(listen=listen, plain=True), Web(listen=listen, tls_certificate=certificate)):
        listening_socket(settings, {}).close()


def test_a_unix_socket_is_for_its_owner_and_group(short_path: Path) -> None:
    """A stale one is replaced; one on which another process listens is not."""
    path = short_path / "console.sock"
    settings = Web(listen=str(path))
    listening_socket(settings, {}).close()
    with listening_socket(settings, {}):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(SettingsError):
            listening_socket(settings, {})

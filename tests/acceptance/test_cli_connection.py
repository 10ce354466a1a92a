"""The connection to a directory on the command line: client certificates, trusted authorities, servers from DNS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contactsync.testing.certificates import Authority, CertificateFiles
from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import Person, count
from tests.support.name_server import NameServer
from tests.support.processes import CommandLine, assert_refused

COLUMNS = ("auth", "tls_minimum", "tls_ca_file", "tls_ca_pem", "tls_client_cert", "tls_client_key", "bind_user")
NAMES = ("localhost", "127.0.0.1", "dc1.example.test")


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Make the authority of the server's and the client's certificate."""
    return Authority()


@pytest.fixture
def client(authority: Authority, tmp_path: Path) -> CertificateFiles:
    """Issue a certificate that the server maps to the reader."""
    return authority.issue_to_client(tmp_path / "client", "reader")


@pytest.fixture
def external(client: CertificateFiles) -> list[str]:
    """Give the options that authenticate by the certificate."""
    return ["--auth", "external", "--client-cert", str(client.certificate), "--client-key", str(client.key)]


@pytest.fixture
def directory(authority: Authority, make_slapd: Any, tmp_path: Path) -> PrivateSlapd:
    """Start a slapd that requires a client certificate over TLS."""
    server: PrivateSlapd = make_slapd(
        certificates=authority.issue_to_server(tmp_path / "tls", names=NAMES), client_certificates=True
    )
    return server


def stored(person: Person) -> dict[str, Any]:
    """The columns of the only definition."""
    row = person.execute(f"SELECT {', '.join(COLUMNS)} FROM contactsync.sync_definitions").fetchone()  # noqa: S608
    assert row
    return dict(zip(COLUMNS, row, strict=True))


def test_a_definition_may_authenticate_by_a_certificate(
    cli: CommandLine, person: Person, directory: PrivateSlapd, client: CertificateFiles, external: list[str]
) -> None:
    """Such a definition needs no user and no password; it is added, run, shown, edited and cleared."""
    trust = ["--ca-pem", str(directory.ca_file), "--tls-minimum", "1.3", "--allow-empty"]
    query = ["--query", f"{directory.tls_url}/{directory.suffix}", "--schedule", "manual"]
    cli.ok("folders", "add", "Staff", *query, *external, *trust)
    assert stored(person) == {
        "auth": "external",
        "tls_minimum": "1.3",
        "tls_ca_file": None,
        "tls_ca_pem": directory.ca_file.read_text(),
        "tls_client_cert": str(client.certificate),
        "tls_client_key": str(client.key),
        "bind_user": None,
    }
    cli.ok("sync", "Staff")
    shown = cli.ok("folders", "show", "Staff")
    assert f"external, client certificate {client.certificate} with the key {client.key}" in shown
    assert "1.3 or later" in shown
    assert "PRIVATE KEY" not in cli.ok("folders", "show", "Staff", "--json")

    cli.ok("folders", "edit", "Staff", "--ca-file", str(directory.ca_file))
    assert (stored(person)["tls_ca_file"], stored(person)["tls_ca_pem"]) == (str(directory.ca_file), None)
    cleared = ("auth", "client-cert", "ca-file", "tls-minimum")
    cli.ok("folders", "edit", "Staff", *(f"--clear={name}" for name in cleared))
    assert stored(person) == dict.fromkeys(COLUMNS) | {"auth": "simple"}


def test_options_that_contradict_each_other_are_refused(
    cli: CommandLine, person: Person, directory: PrivateSlapd, client: CertificateFiles, tmp_path: Path
) -> None:
    """Each with a sentence; nothing is stored."""
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    certificate = ["--client-cert", str(client.certificate)]
    for options, words in (
        (["--auth", "external", *certificate, "--user", directory.reader_dn], "identifies the user"),
        (["--ca-file", str(directory.ca_file), "--ca-pem", str(directory.ca_file)], "one place only"),
        (["--ca-pem", str(empty)], "holds no certificates"),
    ):
        assert_refused(cli("folders", "add", "Staff", "--query", directory.tls_url, *options), 64, words)
    assert count(person, "sync_definitions") == 0


def test_a_file_that_does_not_exist_here_is_a_warning(cli: CommandLine, directory: PrivateSlapd) -> None:
    """The daemon may run on another machine."""
    done = cli("folders", "add", "Staff", "--query", directory.tls_url, "--client-cert", "/nowhere/client.crt")
    assert done.returncode == 0
    assert "no file /nowhere/client.crt here" in done.stderr


def test_a_check_finds_the_servers_of_a_domain(
    cli: CommandLine, directory: PrivateSlapd, external: list[str], closed_port: int
) -> None:
    """The name servers are those of the settings; a server that does not answer is skipped, as in a run."""
    name = NAMES[-1]
    zone = {
        "_ldap._tcp.dc._msdcs.example.test SRV": [f"0 0 {closed_port} {name}.", f"1 0 {directory.port} {name}."],
        f"{name} A": ["127.0.0.1"],
    }
    query = ["--query", f"LDAP://{directory.suffix}", "--ca-file", str(directory.ca_file)]
    with NameServer(zone) as server:
        cli.environ["CONTACTSYNC_DIRECTORY__DNS_SERVERS"] = f"127.0.0.1:{server.address.port}"
        done = cli("check", *query, *external, "--json")
    steps = {step["name"]: step for step in json.loads(done.stdout)["steps"]}
    assert steps["dns"]["status"] == "ok", done
    assert steps["tcp"]["status"] == "warning"
    assert steps["bind"]["status"] == "ok"
    assert "the client certificate" in steps["bind"]["text"]

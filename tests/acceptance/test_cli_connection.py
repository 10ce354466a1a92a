"""What the command line says about the way to a directory: who asks, whom it trusts, and servers that DNS names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from contactsync.testing.certificates import Authority, CertificateFiles
from contactsync.testing.slapd import PrivateSlapd
from tests.support.name_server import NameServer

Cli = Any
Person = psycopg.Connection[Any]
COLUMNS = ("auth", "tls_minimum", "tls_ca_file", "tls_ca_pem", "tls_client_cert", "tls_client_key", "bind_user")


NAMES = ("localhost", "127.0.0.1", "dc1.example.test")


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Make the authority that server and client have in common."""
    return Authority()


@pytest.fixture
def client(authority: Authority, tmp_path: Path) -> CertificateFiles:
    """Issue a certificate that the server takes for the reader's."""
    return authority.issue_to_client(tmp_path / "client", "reader")


@pytest.fixture
def directory(authority: Authority, make_slapd: Any, tmp_path: Path) -> PrivateSlapd:
    """Start a slapd that lets nobody in over TLS without a certificate."""
    server: PrivateSlapd = make_slapd(
        certificates=authority.issue_to_server(tmp_path / "tls", names=NAMES), client_certificates=True
    )
    return server


def stored(person: Person) -> dict[str, Any]:
    """The columns of the one definition."""
    row = person.execute(f"SELECT {', '.join(COLUMNS)} FROM contactsync.sync_definitions").fetchone()  # noqa: S608
    assert row
    return dict(zip(COLUMNS, row, strict=True))


def test_a_definition_may_ask_by_a_certificate(
    cli: Cli, person: Person, directory: PrivateSlapd, client: CertificateFiles
) -> None:
    """Added without a user and a password, shown, run, and set back again."""
    who = ["--auth", "external", "--client-cert", str(client.certificate), "--client-key", str(client.key)]
    trust = ["--ca-pem", str(directory.ca_file), "--tls-minimum", "1.3", "--allow-empty"]
    query = ["--query", f"{directory.tls_url}/{directory.suffix}", "--schedule", "manual"]
    done = cli("folders", "add", "Staff", *query, *who, *trust)
    assert (done.returncode, done.stderr) == (0, "")
    assert stored(person) == {
        "auth": "external",
        "tls_minimum": "1.3",
        "tls_ca_file": None,
        "tls_ca_pem": directory.ca_file.read_text(),
        "tls_client_cert": str(client.certificate),
        "tls_client_key": str(client.key),
        "bind_user": None,
    }
    assert cli("sync", "Staff").returncode == 0
    shown = cli("folders", "show", "Staff").stdout
    assert f"external, client certificate {client.certificate} with the key {client.key}" in shown.replace("\n", "")
    assert "1.3 or later" in shown
    assert "PRIVATE KEY" not in cli("folders", "show", "Staff", "--json").stdout

    assert cli("folders", "edit", "Staff", "--ca-file", str(directory.ca_file)).returncode == 0
    assert (stored(person)["tls_ca_file"], stored(person)["tls_ca_pem"]) == (str(directory.ca_file), None)
    done = cli(
        "folders", "edit", "Staff", *(f"--clear={name}" for name in ("auth", "client-cert", "ca-file", "tls-minimum"))
    )
    assert done.returncode == 0
    assert stored(person) == dict.fromkeys(COLUMNS) | {"auth": "simple"}


def test_what_contradicts_itself_is_not_stored(
    cli: Cli, person: Person, directory: PrivateSlapd, client: CertificateFiles, tmp_path: Path
) -> None:
    """Each with a sentence and exit code 64."""
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    ours = ["--client-cert", str(client.certificate)]
    for options, word in (
        (["--auth", "external", *ours, "--user", directory.reader_dn], "there is a user as well"),
        (["--ca-file", str(directory.ca_file), "--ca-pem", str(directory.ca_file)], "one place only"),
        (["--ca-pem", str(nothing)], "holds no certificates"),
    ):
        done = cli("folders", "add", "Staff", "--query", directory.tls_url, *options)
        assert (done.returncode, done.stdout) == (64, ""), options
        assert word in done.stderr.replace("\n", " ")
        assert "Traceback" not in done.stderr
    assert person.execute("SELECT count(*) FROM contactsync.sync_definitions").fetchone() == (0,)


def test_a_file_that_is_not_here_is_a_warning(cli: Cli, directory: PrivateSlapd) -> None:
    """The daemon may run elsewhere."""
    done = cli("folders", "add", "Staff", "--query", directory.tls_url, "--client-cert", "/nowhere/client.crt")
    assert done.returncode == 0
    assert "no file /nowhere/client.crt here" in done.stderr


def test_a_check_finds_the_servers_of_a_domain(
    cli: Cli, directory: PrivateSlapd, client: CertificateFiles, closed_port: int
) -> None:
    """By the name servers of the settings; the one that is down is passed over, as a run does."""
    name = NAMES[-1]
    zone = {
        "_ldap._tcp.dc._msdcs.example.test SRV": [f"0 0 {closed_port} {name}.", f"1 0 {directory.port} {name}."],
        f"{name} A": ["127.0.0.1"],
    }
    who = ["--auth", "external", "--client-cert", str(client.certificate), "--client-key", str(client.key)]
    query = ["--query", f"LDAP://{directory.suffix}", "--ca-file", str(directory.ca_file)]
    with NameServer(zone) as server:
        cli.environ["CONTACTSYNC_DIRECTORY__DNS_SERVERS"] = f"127.0.0.1:{server.address.port}"
        done = cli("check", *query, *who, "--json")
    steps = {step["name"]: step for step in json.loads(done.stdout)["steps"]}
    assert steps["dns"]["status"] == "ok", done
    assert steps["tcp"]["status"] == "warning"
    assert steps["bind"]["status"] == "ok"
    assert "the client certificate" in steps["bind"]["text"]

"""A private OpenID provider: the glewlwyd of Debian's package, on loopback, with TLS, in a directory of its own."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import sqlite3
import ssl
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from contactsync.testing.certificates import make_certificates
from contactsync.testing.ports import LOOPBACK, ReservedPort
from tests.support.waiting import PATIENCE, wait_until

_TEMPLATE = Path("/usr/share/glewlwyd/templates/glewlwyd-debian.conf.properties")
_SCHEMA = Path("/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3")
_PAGES = Path("/usr/share/glewlwyd/webapp")
_CONFIGURATION_OF_PAGES = Path("/usr/share/glewlwyd/templates/config.json")
_ADMINISTRATOR = {"username": "admin", "password": "password"}

CLIENT = "contactsync"
PASSWORD = "twelve dull words"
PEOPLE = {"anna": ["Console Admins", "Staff"], "bert": ["Staff"], "carla": []}
"""The people, who all have PASSWORD, and their groups."""


def why_not() -> str:
    """Why such a provider cannot run here; empty if it can."""
    installed = shutil.which("glewlwyd") and _TEMPLATE.exists() and _SCHEMA.exists()
    return "" if installed else "glewlwyd is not installed: sudo apt-get install glewlwyd dbconfig-sqlite3"


class Glewlwyd:
    """One provider in `directory`, on a port that it keeps over restarts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)
        self._port = ReservedPort()
        self._files = make_certificates(directory / "tls")
        self.url = f"https://localhost:{self._port.number}"
        self.issuer = f"{self.url}/api/oidc"
        self.secret_file = directory / "client-secret"
        self.secret_file.write_text(f"{secrets.token_urlsafe()}\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ca_file(self) -> Path:
        """The authority of its certificate, for clients to trust."""
        return self._files.authority

    def settings(self, **more: str) -> dict[str, str]:
        """The settings of a console where Staff signs in here; Console Admins are administrators."""
        sign_in = {
            "OIDC_ISSUER": self.issuer,
            "OIDC_CLIENT_ID": CLIENT,
            "OIDC_CLIENT_SECRET_FILE": str(self.secret_file),
            "OIDC_SCOPES": "openid",
            "OIDC_NAME_CLAIM": "preferred_username",
            "OIDC_CA_FILE": str(self.ca_file),
            "MEMBERS": "Staff",
            "ADMINISTRATORS": "Console Admins",
            **more,
        }
        return {f"CONTACTSYNC_SIGN_IN__{name}": value for name, value in sign_in.items()}

    def __enter__(self) -> Self:
        (self._directory / "conf").write_text(self._configuration())
        # It serves no links, which Debian's package has for files of other packages.
        pages = shutil.copytree(_PAGES, self._directory / "pages", ignore=shutil.ignore_patterns("config.json"))
        shutil.copy(_CONFIGURATION_OF_PAGES, pages)
        with closing(sqlite3.connect(self._directory / "db")) as database:
            database.executescript(_SCHEMA.read_text())
            ((text,),) = database.execute("SELECT gumi_parameters FROM g_user_module_instance")
            parameters = json.loads(text)
            parameters["data-format"]["groups"] = {"multiple": True, "read": True, "write": True}
            database.execute("UPDATE g_user_module_instance SET gumi_parameters = ?", [json.dumps(parameters)])
            database.commit()
        self.start()
        self._administer("POST", "mod/plugin/", module="oidc", name="oidc", parameters=self._plugin())
        for name in PEOPLE:
            self.add(name)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = self._directory / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["glewlwyd", "--config-file", str(self._directory / "conf")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        wait_until(self._answers, log.read_text)

    def stop(self) -> None:
        """End it; its data is kept."""
        if self._process:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    def add_client(self, console: str) -> None:
        """Register the console at this address."""
        secret = self.secret_file.read_text().strip()
        self._administer(
            "POST",
            "client/",
            client_id=CLIENT,
            password=secret,
            redirect_uri=[f"{console}/sign-in/oidc/back"],
            authorization_type=["code", "refresh_token"],
            token_endpoint_auth_method=["client_secret_basic"],
            confidential=True,
            enabled=True,
            scope=[],
        )

    def set_groups(self, name: str, *groups: str) -> None:
        """Put a person into these groups only."""
        person = {"groups": list(groups), "scope": ["openid", "g_profile"]}
        self._administer("PUT", f"user/{name}", enabled=True, **person)

    def add(self, name: str) -> None:
        """Add a person, who then has another sub than before."""
        person = {"username": name, "password": PASSWORD, "groups": PEOPLE[name], "scope": ["openid", "g_profile"]}
        self._administer("POST", "user/", enabled=True, **person)

    def remove(self, name: str) -> None:
        """Remove a person."""
        self._administer("DELETE", f"user/{name}")

    def send_back(self, name: str, url: str) -> str:
        """Where the provider sends the browser of a person who signs in there, and lets the console know who it is."""
        with self._client() as client:
            assert client.post("/api/auth/", json={"username": name, "password": PASSWORD}).status_code == 200
            assert client.put(f"/api/auth/grant/{CLIENT}", json={"scope": "openid"}).status_code == 200
            return client.get(f"{url}&g_continue").headers["location"]

    def _administer(self, method: str, path: str, **document: Any) -> None:
        with self._client() as client:
            assert client.post("/api/auth/", json=_ADMINISTRATOR).status_code == 200
            answer = client.request(method, f"/api/{path}", json=document)
            assert answer.status_code == 200, answer.text

    def _client(self) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=str(self.ca_file))
        return httpx.Client(base_url=self.url, verify=trusted, timeout=PATIENCE)

    def _answers(self) -> bool:
        try:
            with self._client() as client:
                return client.get("/config").status_code == 200
        except httpx.TransportError:
            return False

    def _configuration(self) -> str:
        """The package's own one, with the places of this one."""
        ours = {
            "port": str(self._port.number),
            "external_url": f'"{self.url}"',
            "log_mode": '"console"',
            "cookie_secure": "1",
            "use_secure_connection": "true",
            "secure_connection_key_file": f'"{self._files.key}"',
            "secure_connection_pem_file": f'"{self._files.certificate}"',
            "secure_connection_ca_file": f'"{self._files.authority}"',
        }
        text = re.sub(r"(?m)^(@include|static_files_path|#?bind_address).*\n", "", _TEMPLATE.read_text())
        for name, value in ours.items():
            text = re.sub(rf"(?m)^{name}\s*=.*$", f"{name}={value}", text)
        database = f'database = {{ type = "sqlite3"; path = "{self._directory}/db" }};'
        return f'{text}\nbind_address="{LOOPBACK}"\nstatic_files_path="{self._directory}/pages"\n{database}\n'

    def _plugin(self) -> dict[str, Any]:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        claims = {"groups": "groups", "preferred_username": "username"}
        return {
            "iss": self.issuer,
            "jwt-type": "rsa",
            "jwt-key-size": "256",
            "key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "cert": public.decode(),
            "access-token-duration": 3600,
            "refresh-token-duration": 86400,
            "code-duration": 600,
            "auth-type-code-enabled": True,
            "auth-type-refresh-enabled": True,
            "jwks-show": True,
            "pkce-allowed": True,
            "pkce-required": True,
            "pkce-method-plain-allowed": False,
            "subject-type": "public",
            "oauth-as-iss-id": True,
            "claims": [
                {"name": claim, "type": "string", "mandatory": True, "user-property": key}
                for claim, key in claims.items()
            ],
        }

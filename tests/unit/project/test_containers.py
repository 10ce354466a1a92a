"""The Compose file and the Kubernetes manifests: valid by their schemas, and with names that exist in contactsync."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from contactsync import __version__
from contactsync.cli.app import app
from contactsync.settings.file import KEY_FILE_NAME, SYSTEM_RUNTIME, SYSTEM_STATE, URL_FILE_NAME
from contactsync.settings.loader import load_settings
from contactsync.settings.schema import Settings

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "tests" / "schemas"
KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPOSE = yaml.safe_load((ROOT / "deploy" / "container" / "compose.yaml").read_text(encoding="utf-8"))
BUILD = (ROOT / "tools" / "image.sh").read_text(encoding="utf-8")
SECRETS = "/run/secrets"
COMMANDS = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}


def documents(name: str) -> list[dict[str, Any]]:
    """The documents of a manifest."""
    return list(yaml.safe_load_all((KUBERNETES / name).read_text(encoding="utf-8")))


def containers() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each container of the manifests, with the name of its file and its pod."""
    for name in ("one.yaml", "fleet.yaml"):
        pod = documents(name)[0]["spec"]["template"]["spec"]
        for container in pod["containers"]:
            yield name, pod, container


def settings_of(environ: dict[str, str]) -> Settings:
    """Load the settings that an environment gives; one that does not exist is an error."""
    return load_settings(None, environ, search=[Path("/nonexistent")])


def environment(container: dict[str, Any]) -> dict[str, str]:
    """The environment of a container of a pod."""
    return {each["name"]: each["value"] for each in container["env"]}


@pytest.mark.parametrize("name", sorted(path.name for path in KUBERNETES.iterdir()))
def test_the_manifests_are_valid(name: str) -> None:
    """By the schemas of Kubernetes, in which an unknown key is an error."""
    schemas = json.loads((SCHEMAS / "kubernetes.json").read_text(encoding="utf-8"))
    for document in documents(name):
        schema = {**schemas["kinds"][document["kind"]], "$defs": schemas["$defs"]}
        jsonschema_rs.validate(schema, document)
        document["spec" if "spec" in document else "metadata"]["unknown"] = 1
        assert not jsonschema_rs.is_valid(schema, document)


def test_the_compose_file_is_valid() -> None:
    """By the schema of the Compose Specification."""
    schema = json.loads((SCHEMAS / "compose.json").read_text(encoding="utf-8"))
    jsonschema_rs.validate(schema, COMPOSE)
    assert not jsonschema_rs.is_valid(schema, COMPOSE | {"unknown": 1})


def test_pods_keep_to_the_restricted_profile() -> None:
    """Of the Pod Security Standards; the root is read-only too, and no token of the cluster is mounted."""
    for name, pod, container in containers():
        context = pod["securityContext"] | container["securityContext"]
        assert context["runAsNonRoot"], name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert not pod["automountServiceAccountToken"]
        assert not pod["enableServiceLinks"]  # a service's name begins with that of settings


def test_names_in_the_manifests_exist() -> None:
    """Settings, ports, paths, users, secrets and commands; the labels of the services find the pods."""
    for name, pod, container in containers():
        settings, mounts = (
            settings_of(environment(container)),
            {each["mountPath"] for each in container["volumeMounts"]},
        )
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        users = [pod["securityContext"] | each["securityContext"] for each in pod["containers"]]
        assert container["image"].endswith(f"/contactsync:{__version__}")
        assert set(container["args"]) <= COMMANDS
        if container["name"] == "daemon":
            assert settings.metrics.listen.endswith(f":{ports['metrics']}")
            assert settings.fleet.enabled == (name == "fleet.yaml")
            assert settings.web.user == str(users[1]["runAsUser"])
            assert f"--config.user {users[0]['runAsUser']}:0" in BUILD
            assert mounts == {str(SYSTEM_STATE), str(SYSTEM_RUNTIME), SECRETS, "/tmp"}  # noqa: S108
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container[probe]["exec"]["command"][:2] == ["contactsync", "status"]
        else:
            assert settings.web.listen.endswith(f":{ports['console']}")
            assert mounts == {str(SYSTEM_RUNTIME), "/tmp"}  # noqa: S108  (neither the key nor the database)
            assert users[1]["runAsUser"] != users[0]["runAsUser"]
    for name in ("one.yaml", "fleet.yaml"):
        workload, service, *others = documents(name)
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert workload["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
        assert all(other["spec"]["selector"]["matchLabels"] == labels for other in others)
        named = {port["name"] for each in workload["spec"]["template"]["spec"]["containers"] for port in each["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} == named
        [secret] = [each["secret"] for each in workload["spec"]["template"]["spec"]["volumes"] if "secret" in each]
        assert secret["secretName"] == documents("secret.yaml")[0]["metadata"]["name"]
    assert documents("secret.yaml")[0]["stringData"].keys() == {URL_FILE_NAME, KEY_FILE_NAME}


def test_names_in_the_compose_file_exist() -> None:
    """Settings, ports, paths, users, secrets, volumes and commands."""
    daemon, console = COMPOSE["services"]["daemon"], COMPOSE["services"]["console"]
    assert settings_of(daemon["environment"]).web.user == console["user"].partition(":")[0]
    assert f"--config.user {daemon['user']}" in BUILD
    assert f"CREDENTIALS_DIRECTORY={SECRETS}" in BUILD
    assert settings_of(console["environment"]).web.listen.rpartition(":")[2] == console["ports"][0].rpartition(":")[2]
    assert set(daemon["secrets"]) == {URL_FILE_NAME, KEY_FILE_NAME}
    assert "secrets" not in console
    for service in (daemon, console):
        assert service["image"] == f"contactsync:{__version__}"
        assert set(service["command"]) <= COMMANDS
        assert service["read_only"]
        assert {volume.partition(":")[2] for volume in service["volumes"]} <= {str(SYSTEM_STATE), str(SYSTEM_RUNTIME)}
    used = {
        name
        for service in COMPOSE["services"].values()
        for kind in ("volumes", "secrets")
        for name in service.get(kind, [])
    }
    assert {re.sub(":.*", "", name) for name in used} == COMPOSE["volumes"].keys() | COMPOSE["secrets"].keys()

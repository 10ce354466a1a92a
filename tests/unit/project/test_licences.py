"""docs/licences.md lists the licences of all packages, and tools/audit.py reports unknown packages as unknown."""

from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec
from typing import Any

import pytest
from packaging.requirements import Requirement

from tools.audit import CLEAN, UNKNOWN, VULNERABLE, verdict
from tools.licences import PAGE, licence_of, packages

PACKAGE = r"^\| `([a-z0-9-]+)` \| [^|`]+ \| [^|]+ \|$"
EXTRA = r"^\| `([a-z]+)` \| `([a-z0-9-]+)` \|"
BOUND = r"^\| `([a-z0-9-]+<[0-9.]+)` \|"

LOOKED_UP = {"name": "rich", "version": "14.2", "vulns": []}
SILENT = {"name": "typer", "skip_reason": "Dependency not found on PyPI and could not be audited: typer (0.26)"}
BAD = {"name": "h11", "version": "0.15", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["0.16"]}]}


def test_every_package_that_is_installed_is_listed_with_its_licence() -> None:
    """The page has the packages of requirements-run.lock in their order, each with the licence that it states."""
    listed = dict(re.findall(r"^\| (\S+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)[2:])
    assert list(listed) == packages()
    assert listed == {name: licence_of(name) for name in listed}


def test_no_licence_asks_for_more_than_ours_gives() -> None:
    """A library may be under weak copyleft, but not under the GPL."""
    assert not [name for name in packages() if re.search(r"(?<!L)(?<!Lesser )\bA?GPL|Affero", licence_of(name))]
    assert find_spec("ldap3") is not None
    assert "Lesser" in licence_of("ldap3")


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        ([LOOKED_UP], CLEAN, "1 packages were looked up, and none has a known vulnerability."),
        ([LOOKED_UP, BAD], VULNERABLE, "h11 0.15: PYSEC-2026-1, fixed in 0.16"),
        ([LOOKED_UP, SILENT], UNKNOWN, "1 of 2 packages could not be looked up, so nothing is known of them: typer."),
        ([BAD, SILENT], VULNERABLE, "h11 0.15: PYSEC-2026-1, fixed in 0.16"),
        ([], UNKNOWN, "No package was looked up, so nothing is known."),
    ],
)
def test_a_package_that_is_not_found_is_unknown(found: list[dict[str, Any]], code: int, said: str) -> None:
    """A service that does not know a package, or cannot be reached, has not found it free of vulnerabilities."""
    given, lines = verdict({"dependencies": found, "fixes": []})
    assert given == code
    assert said in lines


def test_the_page_of_dependencies_has_each_package_and_each_bound() -> None:
    """What pyproject.toml asks for, what the extras ask for, and why a version is refused."""
    project = tomllib.loads((PAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (PAGE.parent / "dependencies.md").read_text(encoding="utf-8")
    asked = [Requirement(line) for line in project["dependencies"]]
    extras = {(extra, Requirement(line)) for extra, lines in project["optional-dependencies"].items() for line in lines}
    base, of_extras, bounds = (re.findall(pattern, text, re.MULTILINE) for pattern in (PACKAGE, EXTRA, BOUND))
    assert {need.name for need in asked} == set(base)
    assert {(extra, need.name) for extra, need in extras} == set(of_extras)
    upper = {
        f"{need.name}{bound}"
        for need in [*asked, *(need for _, need in extras)]
        for bound in need.specifier
        if bound.operator == "<"
    }
    assert upper == set(bounds)

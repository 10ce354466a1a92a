"""The licences and the bill of materials are those of the lock; tools/audit.py reports unknown packages as unknown."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution, distributions
from importlib.util import find_spec
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.audit import CLEAN, UNKNOWN, VULNERABLE, verdict
from tools.licences import LOCK, PAGE, licence_of, locked, page
from tools.sbom import bill, licence_texts

PACKAGE = r"^\| `([a-z0-9-]+)` \| [^|`]+ \| [^|]+ \|$"
EXTRA = r"^\| `([a-z]+)` \| `([a-z0-9-]+)` \|"
BOUND = r"^\| `([a-z0-9-]+<[0-9.]+)` \|"

LOOKED_UP = {"name": "rich", "version": "14.2", "vulns": []}
SILENT = {"name": "typer", "skip_reason": "Dependency not found on PyPI and could not be audited: typer (0.26)"}
BAD = {"name": "h11", "version": "0.15", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["0.16"]}]}


def test_every_package_that_is_installed_is_listed_with_its_licence() -> None:
    """`make licences` would write the same page: what requirements-run.lock installs, with the stated licences."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_no_licence_asks_for_more_than_ours_gives() -> None:
    """A library may be under weak copyleft, but not under the GPL."""
    assert not [name for name in locked() if re.search(r"(?<!L)(?<!Lesser )\bA?GPL|Affero", licence_of(name))]
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
    project = tomllib.loads((PAGE.parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
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


def test_the_bill_has_every_package_that_is_installed() -> None:
    """Each with its version and licence, and needed by another one; it is the same each time."""
    document = bill()
    components = {each["name"]: each for each in document["components"]}
    scripts = components.pop("htmx.org")
    installed = {canonicalize_name(each.name): each.version for each in distributions()}
    names = re.findall(r"^([a-z0-9-]+)==", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    versions = {name: each["version"] for name, each in components.items()}
    assert versions == {name: installed[name] for name in names if name in installed}
    assert components["cryptography"]["licenses"] == [{"expression": "Apache-2.0 OR BSD-3-Clause"}]
    assert components["rich"]["licenses"] == [{"license": {"name": "MIT License"}}]
    assert scripts["purl"].startswith("pkg:npm/htmx.org@4.")
    needed = {name for each in document["dependencies"] for name in each["dependsOn"]}
    assert needed == {each["bom-ref"] for each in document["components"]}
    assert bill() == document


def test_the_texts_of_all_licences_are_there() -> None:
    """Each package has a heading, and each file that it names as a licence follows."""
    texts = licence_texts()
    for name, version in locked().items():
        assert f"\n{name} {version}: " in texts
        package = distribution(name)
        for stated in package.metadata.get_all("License-File", []):
            place = re.compile(rf"\.dist-info/(.*/)?{re.escape(stated)}$")
            files = [file for file in package.files or [] if place.search(str(file))]
            assert files, stated
            assert all(file.read_text(encoding="utf-8").strip() in texts for file in files), (name, stated)
    assert "\nhtmx-LICENSE\n" in texts

"""The software bill of materials (CycloneDX 1.6) and the licence texts of what requirements-run.lock installs."""

from __future__ import annotations

import re
import tomllib
import uuid
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from contactsync import __version__
from tools.licences import LOCK, licence_of

_ENTRY = re.compile(r"^([a-z0-9._-]+)==(\S+)(?: ; (.*?))?(?: \\)?$", re.MULTILINE)
_ELSEWHERE = "win32"
"""In the marker of a package that is never installed on Linux."""
_LICENCE_FILE = re.compile(r"(^|/)(licen[cs]e|copying|notice|authors)[^/]*$", re.IGNORECASE)
_SPDX = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")
_VENDORED = (("htmx.org", "4.0.1", "0BSD"),)
"""Scripts that are copied into web/static/vendor."""


def locked() -> dict[str, str]:
    """The packages that are installed on Linux, and their versions."""
    entries = _ENTRY.findall(LOCK.read_text(encoding="utf-8"))
    return {name: version for name, version, marker in entries if _ELSEWHERE not in marker}


def bill() -> dict[str, Any]:
    """The document; the same for the same locks."""
    packages = locked()
    root = f"pkg:pypi/contactsync@{__version__}"
    scripts = [_component("npm", name, version, licence) for name, version, licence in _VENDORED]
    components = [_component("pypi", name, version, licence_of(name)) for name, version in packages.items()]
    own = _required_by_contactsync(packages)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "contactsync",
                "version": __version__,
                "purl": root,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components + scripts,
        "dependencies": [
            {"ref": root, "dependsOn": [_purl(name, packages) for name in own] + [each["purl"] for each in scripts]},
            *(
                {
                    "ref": _purl(name, packages),
                    "dependsOn": [_purl(other, packages) for other in _required(name) if other in packages],
                }
                for name in packages
            ),
        ],
    }
    return document | {"serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, repr(document)).urn}


def licence_texts() -> str:
    """The licence files of all packages, one after the other."""
    return "".join(_texts(name, version) for name, version in locked().items())


def _component(kind: str, name: str, version: str, licence: str) -> dict[str, Any]:
    stated = {"expression": licence} if _SPDX.fullmatch(licence) else {"license": {"name": licence}}
    purl = f"pkg:{kind}/{name}@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "licenses": [stated],
    }


def _purl(name: str, packages: dict[str, str]) -> str:
    return f"pkg:pypi/{name}@{packages[name]}"


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _required_by_contactsync(packages: dict[str, str]) -> list[str]:
    """What it needs itself, with the extras that are in the lock."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return sorted({_normal(Requirement(text).name) for texts in lists for text in texts} & packages.keys())


def _required(name: str) -> list[str]:
    """The packages that a package needs."""
    installed = _installed(name)
    needed = map(Requirement, installed.requires or [] if installed else [])
    names = {_normal(need.name) for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})}
    if name == "psycopg":
        names.add("psycopg-binary")  # by its extra "binary", which contactsync asks for
    return sorted(names)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _texts(name: str, version: str) -> str:
    installed = _installed(name)
    found = [file for file in installed.files or [] if _LICENCE_FILE.search(str(file))] if installed else []
    texts = [file.read_text(encoding="utf-8").strip() for file in found if ".dist-info" in str(file)]
    return "\n\n".join([f"{'=' * 78}\n{name} {version}: {licence_of(name)}\n{'=' * 78}", *texts]) + "\n\n"

"""The software bill of materials (CycloneDX 1.6) and the licence texts of what requirements-run.lock installs.

As a program it prints the bill of the container image, with the packages of the Debian in a tar archive.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
import tomllib
import uuid
from email import message_from_string
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from contactsync import __version__
from tools.licences import ROOT, licence_of, locked

_LICENCE_FILE = re.compile(r"(^|/)(licen[cs]e|copying|notice|authors)[^/]*$", re.IGNORECASE)
_SPDX = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")
_VENDOR = ROOT / "daemon" / "contactsync" / "web" / "static" / "vendor"
_SCRIPT = re.compile(r"^\| \S+ \| npm (\S+) (\S+), \S+ \| (\S+) \|", re.MULTILINE)
"""A row of the table of scripts that contactsync contains."""


def bill(debian: Path | None = None) -> dict[str, Any]:
    """The document; the same for the same locks and the same Debian, whose tar archive may be given."""
    packages = locked()
    root = f"pkg:pypi/contactsync@{__version__}"
    rows = _SCRIPT.findall((_VENDOR / "README.md").read_text(encoding="utf-8"))
    scripts = [_component("npm", *row) for row in sorted(set(rows))]
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
        "components": components + scripts + (_debian_packages(debian) if debian else []),
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
    """The licence files of all packages and of the scripts, one after the other."""
    packages = [_texts(name, version) for name, version in locked().items()]
    scripts = [_section(file.stem, file.read_text(encoding="utf-8")) for file in sorted(_VENDOR.glob("*-LICENSE"))]
    return "".join(packages + scripts)


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


def _debian_packages(archive: Path) -> list[dict[str, Any]]:
    with tarfile.open(archive) as root:
        status = root.extractfile("./var/lib/dpkg/status")
        text = status.read().decode() if status else ""
    entries = map(message_from_string, text.strip().split("\n\n"))
    return [_debian_package(entry["Package"], entry["Version"], entry["Architecture"]) for entry in entries]


def _debian_package(name: str, version: str, architecture: str) -> dict[str, Any]:
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}&distro=debian-12"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _purl(name: str, packages: dict[str, str]) -> str:
    return f"pkg:pypi/{name}@{packages[name]}"


def _required_by_contactsync(packages: dict[str, str]) -> list[str]:
    """What it needs itself, with the extras that are in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return sorted({canonicalize_name(Requirement(text).name) for texts in lists for text in texts} & packages.keys())


def _required(name: str) -> list[str]:
    """The packages that a package needs."""
    needed = map(Requirement, distribution(name).requires or [])
    extra = {"extra": "binary" if name == "psycopg" else ""}  # which contactsync asks for
    names: set[str] = {
        canonicalize_name(need.name) for need in needed if need.marker is None or need.marker.evaluate(extra)
    }
    return sorted(names)


def _texts(name: str, version: str) -> str:
    found = [file for file in distribution(name).files or [] if _LICENCE_FILE.search(str(file))]
    texts = [file.read_text(encoding="utf-8") for file in found if ".dist-info" in str(file)]
    return _section(f"{name} {version}: {licence_of(name)}", *texts)


def _section(title: str, *texts: str) -> str:
    return "\n\n".join([f"{'=' * 78}\n{title}\n{'=' * 78}", *map(str.strip, texts)]) + "\n\n"


if __name__ == "__main__":
    print(json.dumps(bill(Path(sys.argv[1])), indent=2))  # noqa: T201 -- for a file

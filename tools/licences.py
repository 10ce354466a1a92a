"""Writes docs/reference/licences.md, the licences of the packages of an installation (make licences)."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-run.lock"
PAGE = ROOT / "docs" / "reference" / "licences.md"

_HEAD = """# Licences

The packages that `make install` and `make demo` download ([requirements-run.lock](../../requirements-run.lock)),
with the licence that each states. `make licences` writes this page, and a test holds it to the lock. All are used as
they are: none is changed or copied into contactsync, which is under the [Apache License 2.0](../../LICENSE). The web
console serves [scripts of others](../../daemon/contactsync/web/static/vendor/README.md), unchanged.

| package | licence |
| --- | --- |
"""
_PIN = re.compile(r"^([a-z0-9._-]+==\S+(?: ; .*?)?)(?: \\)?$", re.MULTILINE)


def locked() -> dict[str, str]:
    """The packages that the lock installs on this system, which is Linux, and their versions."""
    pins = map(Requirement, _PIN.findall(LOCK.read_text(encoding="utf-8")))
    return {pin.name: str(pin.specifier)[2:] for pin in pins if pin.marker is None or pin.marker.evaluate()}


def licence_of(name: str) -> str:
    """The licence that a package states, as an SPDX expression if it has one (PEP 639). Raises LookupError."""
    metadata = distribution(name).metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classifiers = [entry.rpartition(" :: ")[2] for entry in metadata.get_all("Classifier", []) if "License ::" in entry]
    stated = [entry for entry in classifiers if entry != "OSI Approved"]
    if not stated and "License" not in metadata:
        raise LookupError(name)
    return ", ".join(stated) or metadata["License"].splitlines()[0]


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(f"| {name} | {licence_of(name)} |\n" for name in locked())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

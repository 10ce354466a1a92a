"""Writes docs/licences.md, the licences of the packages that contactsync is installed with (make licences)."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-run.lock"
PAGE = ROOT / "docs" / "licences.md"

ELSEWHERE = {"colorama": "BSD-3-Clause", "httpx2-jsfetch": "BSD-3-Clause", "tzdata": "Apache-2.0"}
"""The licences of packages that are not installed on every system."""

_HEAD = """# Licences

The packages that `make install` and `make demo` download ([requirements-run.lock](../requirements-run.lock)), with the
licence that each states. `make licences` writes this page, and a test holds it to the lock. All are used as they are:
none is changed or copied into contactsync, which is under the [Apache License 2.0](../LICENSE).

| package | licence |
| --- | --- |
"""
_PIN = re.compile(r"^([a-z0-9._-]+)==", re.MULTILINE)


def packages() -> list[str]:
    """The names in the lock."""
    return _PIN.findall(LOCK.read_text(encoding="utf-8"))


def licence_of(name: str) -> str:
    """The licence that a package states, as an SPDX expression if it has one (PEP 639). Raises LookupError."""
    try:
        metadata = distribution(name).metadata
    except PackageNotFoundError:
        return ELSEWHERE[name]
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classifiers = [entry.rpartition(" :: ")[2] for entry in metadata.get_all("Classifier", []) if "License ::" in entry]
    stated = [entry for entry in classifiers if entry != "OSI Approved"]
    if not stated and "License" not in metadata:
        raise LookupError(name)
    return ", ".join(stated) or metadata["License"].splitlines()[0]


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(f"| {name} | {licence_of(name)} |\n" for name in packages())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Looks up known vulnerabilities of all locked packages with pip-audit, which uv downloads (make audit).

pip-audit accepts packages that its service does not know; this does not. Exit code 0: all packages were looked up, and
none is vulnerable. 1: one is vulnerable. 2: not all could be looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements-run.lock", "requirements-build.lock", "requirements.lock")
AUDIT = "pip-audit>=2.9,<3"

CLEAN, VULNERABLE, UNKNOWN = range(3)


def verdict(document: dict[str, Any]) -> tuple[int, list[str]]:
    """The exit code and the messages for a JSON document of pip-audit."""
    packages = document["dependencies"]
    unknown = sorted(package["name"] for package in packages if "skip_reason" in package)
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for package in packages
        for vulnerability in package.get("vulns", [])
    ]
    if not packages:
        return UNKNOWN, ["No package was looked up, so nothing is known."]
    if unknown:
        found.append(
            f"{len(unknown)} of {len(packages)} packages could not be looked up, so nothing is known of them: "
            f"{', '.join(unknown[:5])}{' and others' if len(unknown) > len(unknown[:5]) else ''}."
        )
        return VULNERABLE if len(found) > 1 else UNKNOWN, found
    if found:
        return VULNERABLE, found
    return CLEAN, [f"{len(packages)} packages were looked up, and none has a known vulnerability."]


def ask(lock: str, options: list[str]) -> tuple[int, list[str]]:
    """The verdict on one lock; `options` are pip-audit's, such as `--vulnerability-service osv`."""
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "tool", "run", "--quiet", "--from", AUDIT, "pip-audit", "--progress-spinner", "off"]
    command += ["--disable-pip", "--require-hashes", "--format", "json", "--requirement", str(ROOT / lock), *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return verdict(json.loads(ended.stdout))
    except (ValueError, KeyError):
        last = ended.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        return UNKNOWN, [f"pip-audit could not ask its service, so nothing is known: {last[0]}"]


def main() -> int:
    """Look up all locks, print the results, and return the worst exit code."""
    codes = []
    for lock in LOCKS:
        code, lines = ask(lock, sys.argv[1:])
        codes.append(code)
        for line in lines:
            print(f"{lock}: {line}")  # noqa: T201 -- for the person who called make
    return VULNERABLE if VULNERABLE in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main())

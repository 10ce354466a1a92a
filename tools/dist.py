"""Builds what a release consists of into dist/: wheel, sdist, SBOM and licence texts (make dist).

The same commit gives the same octets: hatchling sorts the files and sets their times and permissions.
"""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from contactsync import __version__
from tools.sbom import bill, licence_texts

ROOT = Path(__file__).parents[1]


def build(source: Path, directory: Path, *targets: str) -> None:
    """Build "wheel" or "sdist", or both by default, from a clone or an unpacked sdist."""
    chosen = [word for target in targets for word in ("--target", target)]
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(directory), *chosen]
    subprocess.run(command, cwd=source, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Replace dist/ and print each file with its size and its digest."""
    directory = ROOT / "dist"
    directory.mkdir(exist_ok=True)
    for old in directory.glob("contactsync-*"):
        if ".oci." not in old.name:  # of make image
            old.unlink()
    build(ROOT, directory)
    stem = f"contactsync-{__version__}"
    (directory / f"{stem}.cdx.json").write_text(json.dumps(bill(), indent=2) + "\n", encoding="utf-8")
    (directory / f"{stem}-licences.txt").write_text(licence_texts(), encoding="utf-8")
    for path in sorted(directory.glob("contactsync-*")):
        content = path.read_bytes()
        print(f"{sha256(content).hexdigest()}  {path.name}  {len(content):,} octets")  # noqa: T201 -- for people


if __name__ == "__main__":
    main()

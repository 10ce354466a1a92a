"""Virtual environments with a wheel of contactsync and nothing that it does not ask for. No network is used."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


class Environment:
    """A virtual environment in which contactsync is installed from a wheel."""

    def __init__(self, directory: Path, wheel: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
        self.python = directory / "bin" / "python"
        self.program = directory / "bin" / "contactsync"
        [self.packages] = (directory / "lib").glob("python*/site-packages")
        install = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--no-index", "--no-deps"]
        subprocess.run([*install, "--no-compile", "--quiet", wheel], check=True)
        [metadata] = self.packages.glob("contactsync-*.dist-info")
        self._wheel = Distribution.at(metadata)
        self._add(self._wheel, "", self.packages)

    def path_of_extra(self, extra: str, directory: Path) -> str:
        """A PYTHONPATH with what an extra of the wheel asks for, in a directory of its own."""
        directory.mkdir()
        self._add(self._wheel, extra, directory)
        return str(directory)

    def _add(self, package: Distribution, extra: str, directory: Path) -> None:
        """Link the packages that a package asks for from the environment of the tests, with its locked versions."""
        for requirement in map(Requirement, package.requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                needed = distribution(requirement.name)
                assert requirement.specifier.contains(needed.version), (requirement, needed.version)
                if self._link(needed, directory):
                    for wanted in ("", *requirement.extras):
                        self._add(needed, wanted, directory)

    def _link(self, package: Distribution, directory: Path) -> bool:
        """Link the files of a package; False if they are there already."""
        names = {file.parts[0] for file in package.files or [] if file.parts[0] not in ("..", "__pycache__")}
        new = [name for name in names if not (directory / name).exists()]
        for name in new:
            (directory / name).symlink_to(str(package.locate_file(name)))
        return bool(new)

"""Virtual environments with a wheel of contactsync and nothing that it does not ask for. No network is used."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

PYTHONS = {
    "{}.{}".format(*sys.version_info): Path(sys.executable),
    **{path.name: path / "bin" / "python" for path in sorted((Path(__file__).parents[2] / ".python").glob("3.*"))},
}
"""The Python of the tests, and those that `make setup-python` has set up, by their versions."""


class Environment:
    """A virtual environment of one of `PYTHONS` in which contactsync is installed from a wheel."""

    def __init__(self, directory: Path, wheel: Path, version: str) -> None:
        self._version = version
        subprocess.run([PYTHONS[version], "-m", "venv", "--without-pip", directory], check=True)
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
        """Link the packages that a package asks for from the environment of that Python, with its locked versions."""
        given = {"extra": extra, "python_version": self._version, "python_full_version": f"{self._version}.0"}
        for requirement in map(Requirement, package.requires or []):
            if requirement.marker is None or requirement.marker.evaluate(given):
                needed = self._distribution(requirement.name)
                assert requirement.specifier.contains(needed.version), (requirement, needed.version)
                if self._link(needed, directory):
                    for wanted in ("", *requirement.extras):
                        self._add(needed, wanted, directory)

    def _distribution(self, name: str) -> Distribution:
        if PYTHONS[self._version] == Path(sys.executable):
            return distribution(name)
        [packages] = PYTHONS[self._version].parents[1].glob("lib/python*/site-packages")
        return next(iter(Distribution.discover(name=name, path=[str(packages)])))

    def _link(self, package: Distribution, directory: Path) -> bool:
        """Link the files of a package; False if they are there already."""
        names = {file.parts[0] for file in package.files or [] if file.parts[0] not in ("..", "__pycache__")}
        new = [name for name in names if not (directory / name).exists()]
        for name in new:
            (directory / name).symlink_to(str(package.locate_file(name)))
        return bool(new)

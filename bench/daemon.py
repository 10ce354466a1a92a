"""`contactsync daemon` as a process, controlled over its socket and measured through /proc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.servers import Servers
from bench.terminal import wait_for

CONTACTSYNC = Path(sys.executable).with_name("contactsync")
START_SECONDS = 600
STOP_SECONDS = 200
_RESET_PEAK = "5"
"""Written to clear_refs, it resets VmHWM to the memory in use now (proc(5))."""
_TICKS = os.sysconf("SC_CLK_TCK")


class Daemon:
    """A running daemon."""

    def __init__(self, process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
        self._process = process
        self._log = log
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://daemon", timeout=httpx.Timeout(None)
        )

    def sync(self, definition_id: int) -> tuple[float, int]:
        """Run a definition; the seconds until the daemon reported its end, and the run's id."""
        start = time.perf_counter()
        response = self._http.post(f"/v1/definitions/{definition_id}/sync", params={"wait": True})
        seconds = time.perf_counter() - start
        response.raise_for_status()
        return seconds, int(response.json()["runs"][0]["run_id"])

    def approve(self, run_id: int) -> None:
        """Approve a held run, which starts the definition's next run, without waiting."""
        self._http.post(f"/v1/runs/{run_id}/approve").raise_for_status()

    def undo(self, run_id: int) -> float | None:
        """Undo a run; the seconds until the daemon reported the end, or None while the definition is busy."""
        start = time.perf_counter()
        response = self._http.post(f"/v1/runs/{run_id}/undo")
        if response.is_error and response.json()["code"] == "run.busy":
            return None
        response.raise_for_status()
        return time.perf_counter() - start

    def sync_all(self) -> None:
        """Request a run of every definition, without waiting."""
        self._http.post("/v1/sync").raise_for_status()

    def status(self) -> dict[str, Any]:
        """The daemon's status."""
        response = self._http.get("/v1/status")
        response.raise_for_status()
        status: dict[str, Any] = response.json()
        return status

    def wait_until_ready(self, definitions: int) -> None:
        """Wait until it has started and scheduled this many definitions."""
        wait_for(
            lambda: self._has_scheduled(definitions), f"The daemon did not start: {self._log}", seconds=START_SECONDS
        )

    def reset_peak(self) -> None:
        """Start `peak` again from the memory in use now."""
        self._proc("clear_refs").write_text(_RESET_PEAK, encoding="ascii")

    @property
    def peak(self) -> int:
        """The maximum memory since `reset_peak`, in bytes."""
        return self._memory("VmHWM")

    @property
    def memory(self) -> int:
        """The memory in use now, in bytes."""
        return self._memory("VmRSS")

    @property
    def cpu_seconds(self) -> float:
        """The processor time used."""
        # The name, the second field, may contain blanks; utime and stime are the 14th and the 15th.
        fields = self._proc("stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def _has_scheduled(self, definitions: int) -> bool:
        if self._process.poll() is not None:
            raise SystemExit(f"The daemon ended: {self._log.read_text(encoding='utf-8', errors='replace')[-1000:]}")
        try:
            # Cheaper to answer than the status, which reads every definition.
            ready = self._http.get("/v1/health/ready").is_success
        except httpx.TransportError:
            return False
        return ready and self.status()["definitions"] == definitions

    def _memory(self, name: str) -> int:
        for line in self._proc("status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise SystemExit(f"There is no {name} in {self._proc('status')}.")

    def _proc(self, name: str) -> Path:
        return Path(f"/proc/{self._process.pid}/{name}")


@contextmanager
def running(servers: Servers, *, definitions: int = 0) -> Iterator[Daemon]:
    """Start the daemon, wait until it has scheduled this many definitions, and stop it at the end."""
    file, log = servers.place / "settings.toml", servers.place / "daemon.log"
    text = f"[state]\ndirectory = {json.dumps(str(servers.state))}\n"
    text += f'[secrets]\nreferences = "file:*/{servers.password_file.name}"\n'
    file.write_text(text, encoding="utf-8")
    # Settings of this shell must not change what is measured.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CONTACTSYNC_")}
    command = [str(CONTACTSYNC), "--settings", str(file), "daemon"]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environ, start_new_session=True)
    try:
        daemon = Daemon(process, servers.state / "control.sock", log)
        daemon.wait_until_ready(definitions)
        yield daemon
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)

"""A warm process that makes runs, as the daemon would; `main_job.py` starts it and talks to it by lines of JSON.

Each line on standard input asks for one run; the answer has its seconds, counts, stages and the peak memory so far.
"""

from __future__ import annotations

import gc
import json
import logging
import resource
import sys
import time

import structlog

from contactsync.model import Trigger
from contactsync.run import RunOptions
from contactsync.runner import Runner
from contactsync.secrets import SecretBox
from contactsync.store.pool import open_pool


def main(conninfo: str, definition_id: str) -> None:
    """Make a run for every line that comes in."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with open_pool(conninfo, max_size=2, timeout=10) as pool:
        gc.freeze()  # as the daemon does when it has started
        runner = Runner(pool, SecretBox(bytes(32)), RunOptions())
        for _ in sys.stdin:
            start = time.perf_counter()
            report = runner.run(int(definition_id), Trigger.MANUAL)
            answer = {
                "seconds": time.perf_counter() - start,
                "outcome": report.outcome.value,
                "error": report.error,
                "inserted": report.counts.inserted,
                "updated": report.counts.updated,
                "deleted": report.counts.deleted,
                "stages": report.seconds,
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Indexing runs: started, watched and stopped, one at a time. Called by `service` only."""

import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from clipsight.web.service.errors import BusyError, NotFoundError
from clipsight.web.service.index_process import Order
from clipsight.web.service.payloads import Job

_KEPT = 50
"""Runs that are remembered."""

_END_SECONDS = 20.0
"""How long a run may take to stop before it is killed; it commits what it has embedded."""


class Jobs:
    """The runs since the server started. `finished` is called after each, on a thread of the run's own."""

    def __init__(self, finished: Callable[[], None]) -> None:
        self._finished = finished
        self._changed = threading.Condition()
        self._jobs: dict[str, Job] = {}
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self, order: Order, what: str) -> Job:
        """Start a run. Raises `BusyError` while another goes on."""
        with self._changed:
            busy = next((job for job in self._jobs.values() if job.running), None)
            if busy is not None:
                raise BusyError(f"indexing is under way ({busy.what}): wait for it, or stop it first")
            job = Job(secrets.token_hex(8), "running", what, order.model, started=time.time())
            self._jobs[job.id] = job
            for old in list(self._jobs)[:-_KEPT]:
                del self._jobs[old]
            self._process, self._stopping = _launch(order), False
            self._thread = threading.Thread(
                target=self._follow, args=(job.id, self._process), name="clipsight-job", daemon=True
            )
            self._thread.start()
            return job

    def get(self, job_id: str) -> Job:
        """How far the run is. Raises `NotFoundError`."""
        with self._changed:
            if job_id not in self._jobs:
                raise NotFoundError(f"there is no run {job_id[:40]!r} since the server started")
            return self._jobs[job_id]

    def all(self) -> list[Job]:
        """All runs that are remembered, the newest first."""
        with self._changed:
            return list(reversed(self._jobs.values()))

    def watch(self, job_id: str) -> Iterator[Job]:
        """The run each time it has changed, up to its end."""
        job = self.get(job_id)
        yield job
        while job.running:
            with self._changed:
                self._changed.wait_for(lambda seen=job: self.get(job_id) is not seen)  # type: ignore[misc]
            job = self.get(job_id)
            yield job

    def stop(self, job_id: str) -> Job:
        """Ask the run to stop; nothing is done if it has ended. Raises `NotFoundError`."""
        job = self.get(job_id)
        with self._changed:
            if self._jobs[job_id].running and self._process is not None:
                self._stopping = True
                self._process.terminate()
        return job

    def close(self) -> None:
        """Stop what runs and wait for its end."""
        with self._changed:
            process, thread, self._stopping = self._process, self._thread, True
        if process is None or thread is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        process.kill()
        thread.join()

    def _follow(self, job_id: str, process: "subprocess.Popen[str]") -> None:
        """Take in what the process tells, to its end."""
        assert process.stdout is not None and process.stdin is not None
        last: dict[str, Any] = {
            "state": "failed",
            "error": "indexing ended unexpectedly: index again to go on",
        }
        for line in process.stdout:
            told = json.loads(line)
            if "state" in told:  # the end; told when the process has really ended
                last = told
            else:
                self._note(job_id, told)
        process.wait()
        if self._stopping and last["state"] == "failed":
            last = {"state": "stopped"}  # before it had come so far as to tell
        process.stdin.close()
        process.stdout.close()
        if last["state"] != "failed":
            self._finished()  # first, so that whoever waits for the end finds what is new
        self._update(job_id, **last, finished=time.time())

    def _note(self, job_id: str, told: dict[str, Any]) -> None:
        job = self.get(job_id)
        match told:
            case {"note": str(note)}:
                self._update(job_id, notes=(*job.notes, note))
            case {"scanned": int(files)}:
                self._update(job_id, scanned=files)
            case _:
                self._update(
                    job_id,
                    total=told["total"],
                    done=told["embedded"] + told["known_content"] + told["failed"] + told["vanished"],
                    embedded=told["embedded"],
                    recognised=told["known_content"],
                    failed=told["failed"],
                )

    def _update(self, job_id: str, **changes: Any) -> None:
        with self._changed:
            self._jobs[job_id] = replace(self._jobs[job_id], **changes)
            self._changed.notify_all()


def _launch(order: Order) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "clipsight.web.service.index_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it could not start; the end of its output tells
        process.stdin.write(order.to_json() + "\n")
        process.stdin.flush()
    return process

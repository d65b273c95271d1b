"""Indexing jobs: started, followed and stopped, one at a time."""

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

from clipsight.core.errors import BusyError, NotFoundError
from clipsight.indexing.pipeline import IndexProgress
from clipsight.web.service.index_process import IndexTask
from clipsight.web.service.payloads import Job

_MAX_JOBS = 50
"""Jobs in the history."""

_STOP_SECONDS = 20.0
"""Time that a process has to commit what it has embedded; then it is killed."""


class Jobs:
    """The jobs since the server started. `on_finished` is called after each, on the thread of the job."""

    def __init__(self, on_finished: Callable[[], None]) -> None:
        self._on_finished = on_finished
        self._changed = threading.Condition()
        self._jobs: dict[str, Job] = {}
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self, task: IndexTask, description: str) -> Job:
        """Start a job. Raises `BusyError` while another one is running."""
        with self._changed:
            running = next((job for job in self._jobs.values() if job.running), None)
            if running is not None:
                raise BusyError(f"indexing is under way ({running.what}): wait for it, or stop it first")
            job = Job(secrets.token_hex(8), "running", description, task.model, started=time.time())
            self._jobs[job.id] = job
            for old in list(self._jobs)[:-_MAX_JOBS]:
                del self._jobs[old]
            self._process, self._stopping = _launch(task), False
            self._thread = threading.Thread(
                target=self._follow, args=(job.id, self._process), name="clipsight-job", daemon=True
            )
            self._thread.start()
            return job

    def get(self, job_id: str) -> Job:
        """The present state of a job. Raises `NotFoundError`."""
        with self._changed:
            if job_id not in self._jobs:
                raise NotFoundError(f"there is no run {job_id[:40]!r} since the server started")
            return self._jobs[job_id]

    def all(self) -> list[Job]:
        """The jobs of the history, the newest first."""
        with self._changed:
            return list(reversed(self._jobs.values()))

    def watch(self, job_id: str) -> Iterator[Job]:
        """Yield the job now and after every change, until it has ended."""
        job = self.get(job_id)
        yield job
        while job.running:
            with self._changed:
                self._changed.wait_for(lambda seen=job: self.get(job_id) is not seen)  # type: ignore[misc]
            job = self.get(job_id)
            yield job

    def stop(self, job_id: str) -> Job:
        """Ask a job to stop; no effect if it has ended. Raises `NotFoundError`."""
        job = self.get(job_id)
        with self._changed:
            if self._jobs[job_id].running and self._process is not None:
                self._stopping = True
                self._process.terminate()
        return job

    def close(self) -> None:
        """Stop the running job and wait for its end."""
        with self._changed:
            process, thread, self._stopping = self._process, self._thread, True
        if process is None or thread is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        process.kill()
        thread.join()

    def _follow(self, job_id: str, process: "subprocess.Popen[str]") -> None:
        """Read the messages of the process until it ends."""
        assert process.stdout is not None and process.stdin is not None
        result: dict[str, Any] = {
            "state": "failed",
            "error": "indexing ended unexpectedly: index again to go on",
        }
        for line in process.stdout:
            message = json.loads(line)
            if "state" in message:  # published once the process has ended
                result = message
            else:
                self._apply(job_id, message)
        process.wait()
        if self._stopping and result["state"] == "failed":
            result = {"state": "stopped"}  # before it could send that
        process.stdin.close()
        process.stdout.close()
        if result["state"] != "failed":
            self._on_finished()  # first, so that whoever waits for the end finds the new photos
        self._update(job_id, **result, finished=time.time())

    def _apply(self, job_id: str, message: dict[str, Any]) -> None:
        job = self.get(job_id)
        match message:
            case {"note": str(note)}:
                self._update(job_id, notes=(*job.notes, note))
            case {"scanned": int(files)}:
                self._update(job_id, scanned=files)
            case _:
                progress = IndexProgress(**message)
                self._update(
                    job_id,
                    total=progress.total,
                    done=progress.done,
                    embedded=progress.embedded,
                    recognised=progress.known_content,
                    failed=progress.failed,
                )

    def _update(self, job_id: str, **changes: Any) -> None:
        with self._changed:
            self._jobs[job_id] = replace(self._jobs[job_id], **changes)
            self._changed.notify_all()


def _launch(task: IndexTask) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "clipsight.web.service.index_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it could not start, which the end of its output shows
        process.stdin.write(task.to_json() + "\n")
        process.stdin.flush()
    return process

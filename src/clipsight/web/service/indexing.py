"""Indexing runs of the server, in a process of their own: started, followed and stopped, one at a time."""

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from clipsight.core.errors import BusyError, LibraryError, ModelError, NotFoundError
from clipsight.indexing import sample_photos
from clipsight.indexing.report import IndexProgress
from clipsight.web.service.folders import Folders
from clipsight.web.service.index_process import IndexTask
from clipsight.web.service.payloads import Job
from clipsight.web.service.snapshots import CurrentLibrary

_MAX_JOBS = 50
"""Jobs in the history."""

_STOP_SECONDS = 20.0
"""Time that a process has to commit what it has embedded; then it is killed."""


class Indexing:
    """The indexing jobs since the server started.

    `library` is the folder of the library, which is refreshed after each job. `device` and `threads` are
    those of `Library.open`.
    """

    def __init__(
        self, library: Path, current: CurrentLibrary, folders: Folders, device: str, threads: int | None
    ) -> None:
        self._library, self._current, self._folders = library, current, folders
        self._device, self._threads = device, threads
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(
        self,
        folders: Sequence[str] = (),
        *,
        model: str = "auto",
        retry: bool = False,
        exclude: Sequence[str] | None = None,
    ) -> Job:
        """Start a job for the folders with these ids; default: all indexed ones.

        `exclude` replaces the patterns of files and folders that are left out, as of `Library.index`.

        `model`, a name of `registry.list_models`, switches the library to that model once all photos have
        been embedded again; "auto" keeps the current one. `retry` tries failed files again.
        Raises `BusyError` while another job is running, and `NotFoundError`, `LibraryError` or `ModelError`.
        """
        from clipsight.models.registry import list_models

        if model not in ("auto", *(each.name for each in list_models())):
            raise ModelError(f"no model is called {model[:80]!r}: choose one of the list of models")
        with self._current.use() as library:
            paths = [os.fsdecode(path) for path in self._folders.paths(folders, library.catalog)]
            if not paths and not library.catalog.roots():
                raise LibraryError("no folder has been indexed yet: choose one")
        named = ", ".join(Path(path).name or path for path in paths) or "all folders"
        description = named if model == "auto" else f"{named}, switching to {model}"
        patterns = None if exclude is None else tuple(exclude)
        return self._start(self._task(paths, model, retry=retry, exclude=patterns), description)

    @property
    def has_samples(self) -> bool:
        """True if the sample photos are installed (the extra [demo])."""
        try:
            return bool(sample_photos.sample_folders())
        except LibraryError:
            return False

    def start_samples(self) -> Job:
        """Start a job for the sample photos.

        Raises `BusyError`, and `LibraryError` if they are not installed.
        """
        folders = list(map(str, sample_photos.sample_folders()))
        return self._start(self._task(folders, exclude=sample_photos.EXCLUDE), "sample photos")

    def _task(
        self,
        folders: Sequence[str],
        model: str = "auto",
        *,
        retry: bool = False,
        exclude: tuple[str, ...] | None = None,
    ) -> IndexTask:
        return IndexTask(
            str(self._library), tuple(folders), model, retry, self._device, self._threads, exclude
        )

    def get(self, job_id: str) -> Job:
        """The current state of a job. Raises `NotFoundError`."""
        with self._lock:
            if job_id not in self._jobs:
                raise NotFoundError(f"there is no run {job_id[:40]!r} since the server started")
            return self._jobs[job_id]

    def all(self) -> list[Job]:
        """The jobs, the newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def refuse_if_running(self) -> None:
        """Raise `BusyError` while a job is running."""
        with self._lock:
            running = next((job for job in self._jobs.values() if job.running), None)
        if running is not None:
            raise BusyError(f"indexing is under way ({running.what}): wait for it, or stop it first")

    def stop(self, job_id: str) -> Job:
        """Ask a job to stop, which may take a second; what it has embedded is kept.

        Raises `NotFoundError`.
        """
        job = self.get(job_id)
        with self._lock:
            if self._jobs[job_id].running and self._process is not None:
                self._stopping = True
                self._process.terminate()
        return job

    def close(self) -> None:
        """Stop the running job and wait for its end."""
        with self._lock:
            process, thread, self._stopping = self._process, self._thread, True
        if process is None or thread is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        process.kill()
        thread.join()

    def _start(self, task: IndexTask, description: str) -> Job:
        with self._lock:
            self.refuse_if_running()
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

    def _follow(self, job_id: str, process: "subprocess.Popen[str]") -> None:
        """Read the messages of the process until it ends."""
        assert process.stdout is not None and process.stdin is not None
        result: dict[str, Any] = {
            "state": "failed",
            "error": "indexing ended unexpectedly: index again to go on",
        }
        for line in process.stdout:
            message = json.loads(line)
            if "state" in message:  # the last message; the job ends when the process has ended
                result = message
            else:
                self._apply(job_id, message)
        process.wait()
        if self._stopping and result["state"] == "failed":
            result = {"state": "stopped"}  # it was stopped before it could send its state
        process.stdin.close()
        process.stdout.close()
        if result["state"] != "failed":
            self._current.refresh()  # before the job ends: clients that wait for its end find the new photos
        self._update(job_id, **result, finished=time.time())

    def _apply(self, job_id: str, message: dict[str, Any]) -> None:
        job = self.get(job_id)
        match message:
            case {"note": str(note)}:
                self._update(job_id, notes=(*job.notes, note))
            case {"scanned": int(files)}:
                self._update(job_id, scanned=files)
            case {"read": int(done), "to_read": int(total)}:
                self._update(job_id, done=done, total=total)
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
        with self._lock:
            self._jobs[job_id] = replace(self._jobs[job_id], **changes)


def _launch(task: IndexTask) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "clipsight.web.service.index_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # the process has failed to start: `_follow` reports it
        process.stdin.write(task.to_json() + "\n")
        process.stdin.flush()
    return process

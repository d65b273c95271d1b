"""Client of a Hugging Face hub: the files of a model, their content from any offset, and errors.

It uses huggingface_hub's HTTP session, headers, token and errors, so that HF_ENDPOINT, HF_TOKEN,
HF_HUB_OFFLINE, proxies and certificates work as elsewhere.
"""

import hashlib
import os
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clipsight.core.errors import ModelError
from clipsight.core.version import __version__
from clipsight.models.folder import model_files

DEFAULT_ENDPOINT = "https://huggingface.co"

# Seconds without data before the connection counts as lost.
_TIMEOUT = 10.0
_BLOCK = 1 << 20
_REQUIRED = ("config.json", "visual/model.onnx", "textual/model.onnx")


class HubError(ModelError):
    """A failed request or download; `reason` is the text without the advice that follows it."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}; {advice}")
        self.reason = reason


class UnreachableError(HubError):
    """A hub that can't be reached, or is disabled by a setting; `remedy` is what the user can do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, f'{remedy}, or use `model="builtin"`')
        self.remedy = remedy


class NotOnnxError(HubError):
    """A repository without a model in the layout that clipsight reads."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository; `checksum` is its SHA-256 if it is in LFS, else git's SHA-1 of the blob."""

    name: str
    size: int
    checksum: str

    def matches(self, path: Path) -> bool:
        """True if the file at `path` has this size and checksum; reads the whole file."""
        if path.stat().st_size != self.size:
            return False
        is_git = len(self.checksum) == 40
        digest = hashlib.sha1(b"blob %d\0" % self.size) if is_git else hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest() == self.checksum


@dataclass(frozen=True)
class RepoListing:
    """The files of one model, in one commit of a repository of the hub at `endpoint`."""

    endpoint: str
    repo: str
    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Total size in bytes."""
        return sum(file.size for file in self.files)


def list_repo(repo: str, *, timeout: float = _TIMEOUT) -> RepoListing:
    """Request the list of files of the model in `repo` ("owner/name").

    Raises HubError: offline (`HF_HUB_OFFLINE`), no response, no such repository, or (NotOnnxError) no model
    in ONNX form in it.
    """
    endpoint = endpoint_for(repo)
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, library_name="clipsight", library_version=__version__)
    try:
        info = api.model_info(repo, files_metadata=True, timeout=timeout)
    except (ValueError, TypeError, KeyError) as error:  # first: the ValueErrors of requests are OSErrors too
        raise UnreachableError(f"{endpoint} does not answer as a model hub", "check HF_ENDPOINT") from error
    except network_errors() as error:
        raise as_hub_error(error, repo, endpoint) from error
    files = {file.rfilename: file for file in info.siblings or ()}
    wanted = model_files(files)
    if not set(_REQUIRED) <= set(wanted):
        raise NotOnnxError(
            f"{repo} is not in the ONNX form that clipsight reads (visual/model.onnx, textual/model.onnx)",
            "`clipsight models` lists the models that are",
        )
    remote = []
    for name in wanted:
        size, lfs = files[name].size, files[name].lfs
        checksum = lfs.sha256 if lfs else files[name].blob_id
        if size is None or not checksum or info.sha is None:
            raise HubError(f"{endpoint} gives no checksum for {name} of {repo}", "check HF_ENDPOINT")
        remote.append(RemoteFile(name, size, checksum))
    return RepoListing(endpoint, repo, str(info.sha), tuple(remote))


def list_repo_within(repo: str, seconds: float) -> RepoListing:
    """Call `list_repo` and raise HubError after `seconds`, even if the host name lookup hangs.

    A socket timeout does not cover the lookup, so the request runs in a daemon thread, which is abandoned
    after that time.
    """
    endpoint = endpoint_for(repo)
    deadline = time.monotonic() + seconds
    import_module("huggingface_hub.hf_api")  # here: an abandoned thread would keep the import lock

    results: queue.SimpleQueue[RepoListing | Exception] = queue.SimpleQueue()

    def request() -> None:
        try:
            results.put(list_repo(repo, timeout=seconds))
        except Exception as error:  # raised below, in the caller's thread
            results.put(error)

    threading.Thread(target=request, daemon=True, name="clipsight-hub").start()
    try:
        result = results.get(timeout=max(0.5, deadline - time.monotonic()))
    except queue.Empty:
        raise _unavailable(endpoint, f"no answer in {seconds:g} s") from None
    if isinstance(result, Exception):
        raise result
    return result


@contextmanager
def stream_file(listing: RepoListing, file: RemoteFile, start: int) -> Iterator[tuple[int, Iterable[bytes]]]:
    """Request `file` from byte `start` on; yield the offset of the first byte and an iterator of blocks.

    The offset is `start`, or 0 from a server that ignores the range and sends the whole file. Raises
    `network_errors()`.
    """
    from huggingface_hub import hf_hub_url

    utils = _utils()
    url = hf_hub_url(listing.repo, file.name, revision=listing.commit, endpoint=listing.endpoint)
    headers = utils.build_hf_headers(library_name="clipsight", library_version=__version__)
    headers["Accept-Encoding"] = "identity"  # offsets and sizes count the file's own bytes
    if start:
        headers["Range"] = f"bytes={start}-"
    session = utils.get_session()
    with session.stream("GET", url, headers=headers, timeout=_TIMEOUT, follow_redirects=True) as response:
        utils.hf_raise_for_status(response)
        yield start if response.status_code == 206 else 0, response.iter_bytes()


def endpoint_for(repo: str) -> str:
    """Return the URL of the hub. Raises HubError about `repo` if offline or if HF_ENDPOINT is invalid."""
    if _is_offline():
        raise UnreachableError(f"{repo} is not on disk and HF_HUB_OFFLINE is set", "unset it to download")
    endpoint = (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        reason = f"HF_ENDPOINT is {endpoint!r}, not a web address"
        raise UnreachableError(reason, f"unset it for {DEFAULT_ENDPOINT}")
    return endpoint


def network_errors() -> tuple[type[Exception], ...]:
    """Exceptions that a request may raise; huggingface_hub's versions use different HTTP libraries."""
    library = import_module(type(_utils().get_session()).__module__.partition(".")[0])
    return (library.HTTPError, OSError)


def is_transient(error: Exception) -> bool:
    """True unless the hub refused the request, so that a retry may succeed."""
    status = _status(error)
    return status is None or status >= 500 or status in (408, 429)


def as_hub_error(error: Exception, repo: str, endpoint: str) -> HubError:
    """Convert the exception of a failed request to a HubError with advice."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        advice = f"accept its terms at {endpoint}/{repo} and set HF_TOKEN to your access token"
        return HubError(f"{repo} is open only to those who accept its terms", advice)
    if isinstance(error, RepositoryNotFoundError):
        advice = "check the name (`clipsight models` lists the known ones); a private one needs HF_TOKEN"
        return HubError(f"there is no model {repo} at {endpoint}", advice)
    status = _status(error)
    if status is not None:
        return _unavailable(endpoint, f"it answered with HTTP status {status}")
    return _unavailable(endpoint, str(error).strip().partition("\n")[0][:120] or type(error).__name__)


def repo_url(repo: str) -> str:
    """The URL of a repository's web page."""
    try:
        return f"{endpoint_for(repo)}/{repo}"
    except HubError:
        return f"{DEFAULT_ENDPOINT}/{repo}"


def _unavailable(endpoint: str, detail: str) -> UnreachableError:
    remedy = "try again later (a download goes on where it stopped)"
    return UnreachableError(f"the model hub at {endpoint} can't be used now ({detail})", remedy)


def _utils() -> Any:
    # Untyped: the names that huggingface_hub.utils re-exports for type checkers differ between versions.
    return import_module("huggingface_hub.utils")


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _is_offline() -> bool:
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in ("1", "ON", "YES", "TRUE")  # as huggingface_hub reads it

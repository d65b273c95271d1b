"""A model hub on 127.0.0.1 for `HF_ENDPOINT`, with the faults that real ones have.

It speaks the part of the Hugging Face hub's API that huggingface_hub uses for a download: the repository's
description with sizes and checksums, and `resolve`, which sends small files itself and redirects large ones
(LFS) to another server, as the hub does to its CDN.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

_BLOCK = 1 << 14


def tiny_repository(name: str = "tiny", *, weights: int = 200_000) -> dict[str, bytes]:
    """The files of a model repository as immich lays them out; the weights are `weights` bytes of noise."""

    def noise(part: str) -> bytes:
        blocks = (hashlib.sha256(f"{name}/{part}/{n}".encode()).digest() for n in range(weights // 32 + 1))
        return b"".join(blocks)[:weights]

    config = {"embed_dim": 8, "vision_cfg": {"image_size": 32}, "text_cfg": {"context_length": 16}}
    return {
        "README.md": b"# a model\n",
        "config.json": json.dumps(config).encode(),
        "visual/model.onnx": noise("visual"),
        "visual/model.armnn": b"for another runtime",
        "visual/fp16/model.armnn": b"for another runtime",
        "visual/preprocess_cfg.json": b'{"size": [32, 32]}',
        "textual/model.onnx": noise("textual"),
        "textual/tokenizer.json": b'{"version": "1.0"}',
        "textual/tokenizer_config.json": b'{"pad_token": "!"}',
    }


def files_of(folder: Path) -> dict[str, bytes]:
    """A real model folder's files, to be published on a `HubServer`."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@dataclass
class Faults:
    """What goes wrong; the file names are those in the repository."""

    cut_after: dict[str, list[int]] = field(default_factory=dict)
    """For each of the next requests for a file: close the connection after so many bytes."""
    damaged: set[str] = field(default_factory=set)
    """Files of which a byte in the middle is another than the checksum's."""
    appended: dict[str, bytes] = field(default_factory=dict)
    """Files that go on after the listed size."""
    ignore_range: bool = False
    status: int | None = None
    """Answer everything with this status."""
    file_status: dict[str, list[int]] = field(default_factory=dict)
    """For each of the next requests for a file: answer with this status."""
    error_code: str = ""
    page: bytes | None = None
    """Answer everything with this page, as a hotel's login does."""
    without_checksums: bool = False
    seconds_per_block: float = 0.0


@dataclass
class Request:
    """A request as the server saw it; `sent` is how many bytes it has answered with so far."""

    method: str
    path: str
    file: str
    range: str | None
    authorization: str | None
    sent: int = 0
    ended: bool = False
    """Whether the answer has been sent, or the client has gone."""


class HubServer:
    """A hub with the repositories in `repos` ("owner/name" -> file -> content); use it in a `with`."""

    def __init__(self, repos: Mapping[str, Mapping[str, bytes]]) -> None:
        self.repos = {repo: dict(files) for repo, files in repos.items()}
        self.faults = Faults()
        self.requests: list[Request] = []
        self._hub = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._cdn = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        """What to set HF_ENDPOINT to."""
        return f"http://127.0.0.1:{self._hub.server_port}"

    @property
    def cdn_url(self) -> str:
        """Where large files come from."""
        return f"http://127.0.0.1:{self._cdn.server_port}"

    def connect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make this the hub of the test's own process, whatever HF_ variables it was started with."""
        import huggingface_hub.constants as constants

        for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("HF_ENDPOINT", self.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", os.devnull)

    def run(self, code: str, home: Path, **variables: str) -> subprocess.Popen[str]:
        """Start Python on `code` with this hub and `home` as CLIPSIGHT_HOME."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= {
            "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
            "CLIPSIGHT_HOME": str(home),
            "HF_HOME": str(home / "huggingface"),
            "HF_ENDPOINT": self.url,
        }
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def commit(self, repo: str) -> str:
        """The repository's commit; another one as soon as its content changes."""
        content = json.dumps({name: _sha256(data) for name, data in sorted(self.repos[repo].items())})
        return hashlib.sha1(content.encode()).hexdigest()

    def sent(self, file: str) -> int:
        """How many bytes of `file` have been sent so far, in all requests."""
        return sum(request.sent for request in self.requests if request.file == file)

    @property
    def idle(self) -> bool:
        """Whether no answer is being sent."""
        return all(request.ended for request in self.requests)

    def ranges(self, file: str) -> list[str | None]:
        """The Range header of each request that brought bytes of `file`, in order."""
        return [request.range for request in self.requests if request.file == file and request.sent]

    def __enter__(self) -> "HubServer":
        for server in (self._hub, self._cdn):
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Be gone: connections are refused from now on."""
        for server in (self._hub, self._cdn):
            server.shutdown()
            server.server_close()

    def _handler(self) -> type["_Handler"]:
        return type("Handler", (_Handler,), {"hub": self})


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        faults = self.hub.faults
        path = unquote(urlsplit(self.path).path)
        parts = path.strip("/").split("/")
        if faults.status is not None:
            self._refuse(faults.status, faults.error_code)
        elif faults.page is not None:
            self._send(200, faults.page, {"Content-Type": "text/html"})
        elif parts[:2] == ["api", "models"]:
            self._describe("/".join(parts[2:4]))
        elif parts[0] == "cdn":
            self._file("/".join(parts[1:3]), "/".join(parts[3:]))
        elif len(parts) > 4 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), "/".join(parts[4:]))
        else:
            self._refuse(404)

    def _describe(self, repo: str) -> None:
        if repo not in self.hub.repos:
            self._refuse(404, "RepoNotFound")
            return
        siblings = [self._sibling(name, data) for name, data in self.hub.repos[repo].items()]
        about = {"id": repo, "modelId": repo, "sha": self.hub.commit(repo), "private": False}
        self._send(
            200, json.dumps(about | {"siblings": siblings}).encode(), {"Content-Type": "application/json"}
        )

    def _sibling(self, name: str, data: bytes) -> dict[str, object]:
        if self.hub.faults.without_checksums:
            return {"rfilename": name}
        about: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": _git_sha1(data)}
        if _is_large(name):
            about["lfs"] = {"sha256": _sha256(data), "size": len(data), "pointerSize": 134}
        return about

    def _resolve(self, repo: str, name: str) -> None:
        files = self.hub.repos.get(repo, {})
        if name not in files:
            self._refuse(404, "EntryNotFound")
        elif _is_large(name):
            headers = {
                "Location": f"{self.hub.cdn_url}/cdn/{repo}/{name}",
                "X-Repo-Commit": self.hub.commit(repo),
                "X-Linked-Size": str(len(files[name])),
                "X-Linked-Etag": f'"{_sha256(files[name])}"',
            }
            self._send(302, b"", headers)
        else:
            self._file(repo, name)

    def _file(self, repo: str, name: str) -> None:
        faults = self.hub.faults
        if faults.file_status.get(name):
            self._refuse(faults.file_status[name].pop(0))
            return
        content = self.hub.repos[repo][name]
        headers = {
            "ETag": f'"{_sha256(content) if _is_large(name) else _git_sha1(content)}"',
            "X-Repo-Commit": self.hub.commit(repo),
            "Accept-Ranges": "bytes",
        }
        if name in faults.damaged:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        content += faults.appended.get(name, b"")
        asked = self.headers.get("Range")
        if asked and not faults.ignore_range:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206, content[start:], headers, file=name)
        else:
            self._send(200, content, headers, file=name)

    def _refuse(self, status: int, code: str = "") -> None:
        self._send(status, b'{"error": "no"}', {"X-Error-Code": code} if code else {})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], *, file: str = "") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        asked, authorization = self.headers.get("Range"), self.headers.get("Authorization")
        request = Request(self.command, self.path, file, asked, authorization)
        self.hub.requests.append(request)
        if self.command == "GET":
            self._send_body(body, request)
        request.ended = True

    def _send_body(self, body: bytes, request: Request) -> None:
        faults = self.hub.faults
        cuts = faults.cut_after.get(request.file)
        end = min(cuts.pop(0), len(body)) if cuts else len(body)
        try:
            while request.sent < end:
                block = body[request.sent : min(end, request.sent + _BLOCK)]
                request.sent += len(block)
                self.wfile.write(block)
                time.sleep(faults.seconds_per_block if request.file else 0)
        except (BrokenPipeError, ConnectionResetError):  # the client went away
            self.close_connection = True
        if end < len(body):
            self.close_connection = True


def _is_large(name: str) -> bool:
    return name.endswith((".onnx", ".armnn"))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

"""The files of the page: read once, compressed once, and cached by browsers until they change."""

import gzip
import html
import mimetypes
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import xxhash
from starlette.requests import Request
from starlette.responses import Response

from clipsight.web.page.languages import STATIC, chosen_language, texts

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the page: nothing inline, nothing of other hosts."""

_TYPES = {".js": "text/javascript; charset=utf-8", ".webmanifest": "application/manifest+json"}
_COMPRESSED = {".js", ".css", ".json", ".svg", ".webmanifest"}
_OF_PAGES = ("no_script", "docs.", "not_found.")
"""Beginnings of the keys of the texts in HTML files, where {a_key} stands for the text "a.key"."""

_NOT_OF_THE_PAGE = {"docs.js", "share.js"}
_IMMUTABLE = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class _File:
    data: bytes
    media_type: str
    is_compressible: bool

    @cached_property
    def compressed(self) -> bytes | None:
        return gzip.compress(self.data, 9, mtime=0) if self.is_compressible else None


class PageFiles:
    """The files below the folder `static`, and the page made of them.

    Addresses of files contain `version`, a hash of all of them, so that browsers may keep them for ever.
    """

    def __init__(self, static: Path = STATIC) -> None:
        paths = sorted(path for path in static.rglob("*") if os.path.isfile(path))
        self._files = {
            path.relative_to(static).as_posix(): _read(path) for path in paths if path.suffix != ".html"
        }
        self._pages = {path.stem: path.read_text(encoding="utf-8") for path in static.glob("*.html")}
        contents = (
            *(page.encode() for page in self._pages.values()),
            *(file.data for file in self._files.values()),
        )
        self.version = xxhash.xxh3_64_hexdigest(b"\0".join(contents))

    def page(self, request: Request) -> Response:
        """The page, in the language of the request; its scripts show what the address says."""
        return self._html(request, "index")

    def docs(self, request: Request) -> Response:
        """The description of the API, in which requests can be tried."""
        return self._html(request, "docs")

    def not_found(self, request: Request) -> Response:
        """A page for an address where there is nothing, with the next step."""
        return self._html(request, "not_found", 404)

    def _html(self, request: Request, name: str, status: int = 200) -> Response:
        prefix = request.scope.get("root_path", "")
        language = chosen_language(request.headers)
        values = {
            "lang": language,
            "base": f"{prefix}/",
            "static": f"static/{self.version}/",
            "preloads": "\n".join(self._preloads()),
            **{
                key.replace(".", "_"): text
                for key, text in texts(language).items()
                if key.startswith(_OF_PAGES)
            },
        }
        data = _filled(self._pages[name], values).encode()
        headers = {
            "Content-Security-Policy": POLICY,
            "Cache-Control": "no-cache",
            "Vary": "Accept-Language, Accept-Encoding, Cookie",
        }
        kind = "text/html; charset=utf-8"
        return _answer(request, data, gzip.compress(data, 6, mtime=0), kind, headers, status)

    def file(self, request: Request) -> Response:
        """A file, by the path parameters `version` and `path`."""
        found = self._files.get(request.path_params["path"])
        if found is None:
            return Response("Not Found", 404, media_type="text/plain")
        is_current = request.path_params["version"] == self.version
        headers = {
            "Content-Security-Policy": POLICY,
            "Cache-Control": _IMMUTABLE if is_current else "no-cache",
            "Vary": "Accept-Encoding",
        }
        return _answer(request, found.data, found.compressed, found.media_type, headers)

    def root_file(self, request: Request) -> Response:
        """A file that browsers look for beside the page, such as /favicon.ico."""
        name = request.url.path.rsplit("/", 1)[1]
        found = self._files[{"favicon.ico": "icon.svg"}.get(name, name)]
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        return _answer(request, found.data, found.compressed, found.media_type, headers)

    def _preloads(self) -> Iterable[str]:
        """Links that fetch all modules at once, rather than each after those that import it."""
        for name in self._files:
            if name.endswith(".js") and name not in _NOT_OF_THE_PAGE and "/swagger/" not in name:
                yield f'<link rel="modulepreload" href="static/{self.version}/{name}">'


def _read(path: Path) -> _File:
    data = path.read_bytes()
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _File(data, kind, path.suffix in _COMPRESSED)


def _filled(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", value if name == "preloads" else html.escape(value))
    return template


def _answer(
    request: Request,
    data: bytes,
    compressed: bytes | None,
    media_type: str,
    headers: dict[str, str],
    status: int = 200,
) -> Response:
    tag = f'"{xxhash.xxh3_64_hexdigest(data)}"'
    headers = {**headers, "ETag": tag}
    known = request.headers.get("if-none-match", "")
    if tag in [each.strip().removeprefix("W/") for each in known.split(",")]:
        return Response(status_code=304, headers=headers)
    if compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(compressed, status, media_type=media_type, headers=headers)
    return Response(data, status, media_type=media_type, headers=headers)

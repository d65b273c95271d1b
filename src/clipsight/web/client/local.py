"""A search by the server that is already running, printed within milliseconds.

`try_server` runs before the command line is imported. It handles queries of words alone, with
`search --no-indexing` or `search --server`, and prints what the command would print. All other searches, and
errors, are left to the command itself. Imports are kept to a minimum: starting Python takes 12 ms; json, re
and http.client would take 30 more.
"""

import os
import sys
import time

from clipsight.core import paths, terminal
from clipsight.web.client import discovery
from clipsight.web.client.search_options import FLAGS, OPTIONS

TYPE_CHECKING = False  # importing typing.TYPE_CHECKING would take 10 ms of each start
if TYPE_CHECKING:
    from clipsight.core.config import Config

_PICTURE_LIKE = (*paths.PREFIXES, "http://", "https://")
_TIMEOUT_SECONDS = 30.0
_MAX_BYTES = 64 << 20

MARK = "x-clipsight"
"""Header, in lower case, of a clipsight server's responses to this module."""


class ResponseError(Exception):
    """A response without a result; the message is the reason."""


def try_server(arguments: list[str]) -> int | None:
    """Print the response of a running server. Returns the exit code, or None if the command has to run."""
    fields = parse_arguments(arguments)
    if fields is None:
        return None
    try:
        config = _config()
        server = find_server(fields, config)
        if server is None:
            return None
        if config and not config.color:
            os.environ.setdefault("NO_COLOR", "1")
        notes, out = search(*server, [*fields, *terminal_fields()])
    except (OSError, ResponseError):
        return None  # the command searches without a server, or reports the error
    except KeyboardInterrupt:
        return 130
    sys.stdout.flush()
    sys.stdout.buffer.write(out)
    sys.stdout.buffer.flush()
    for note in [] if _is_quiet(config) else notes:
        print(f"clipsight: {note}", file=sys.stderr)
    return 0


def parse_arguments(arguments: list[str]) -> list[tuple[str, str]] | None:
    """Fields of the request for a command line; None if it has to be run without a server."""
    if arguments[:1] != ["search"]:
        return None
    fields: list[tuple[str, str]] = []
    words: list[str] = []
    indexing = True
    rest = iter(arguments[1:])
    for argument in rest:
        name, equals, value = argument.partition("=") if argument.startswith("--") else (argument, "", "")
        if argument in ("-n", "--no-indexing"):
            indexing = False
        elif argument in FLAGS:
            fields.append(FLAGS[argument])
        elif name in OPTIONS:
            text = value if equals else next(rest, None)
            if text is None:
                return None
            fields.append((OPTIONS[name], text))
        elif argument.startswith("-") and argument != "-" and not argument.startswith("- "):
            return None
        else:
            words.append(argument)
    values = dict(fields)
    query = " ".join(words)
    parts = [value for name, value in fields if name in ("add", "subtract")] + [query]
    if any(word.startswith("text:") and '"' not in word for word in words):
        return None  # where the shell has taken the quotes
    if not query or (indexing and "server" not in values) or any(map(_may_be_picture, parts)):
        return None
    if any("/" in word or word.startswith((".", "~")) or os.path.isdir(word) for word in words[1:]):
        return None  # folders
    if sum(name == "form" for name, _ in fields) > 1:
        return None
    return [("q", query), *fields]


def _config() -> "Config | None":
    """The user's configuration file, read only if there is one, since reading TOML takes long to import."""
    if not os.environ.get(paths.CONFIG) and not os.path.lexists(paths.config_file_path()):
        return None
    from clipsight.core.config import read_config
    from clipsight.core.errors import ConfigError

    try:
        return read_config()
    except ConfigError as error:
        raise ResponseError(str(error)) from error


def _is_quiet(config: "Config | None") -> bool:
    value = os.environ.get("CLIPSIGHT_QUIET", "")
    if not value:
        return config is not None and config.quiet
    return value.lower() in ("1", "true", "t", "yes", "y", "on")


def find_server(fields: list[tuple[str, str]], config: "Config | None" = None) -> tuple[str, str] | None:
    """Address and token of the server; None if none is running."""
    values = dict(fields)
    if os.environ.get("CLIPSIGHT_MODEL") or (config and config.model):
        return None  # the command checks if the server has that model
    if "server" in values:
        return values["server"], os.environ.get("CLIPSIGHT_TOKEN", "")
    library = values.get("library") or os.environ.get("CLIPSIGHT_LIBRARY") or (config and config.library)
    return discovery.find(os.path.expanduser(library) if library else paths.default_library_dir())


def terminal_fields() -> list[tuple[str, str]]:
    """Width of this terminal in cells, and whether to use colours."""
    colour = "true" if terminal.has_colours(sys.stdout) else "false"
    return [("width", str(terminal.width(sys.stdout))), ("colour", colour)]


def search(url: str, token: str, fields: list[tuple[str, str]]) -> tuple[list[str], bytes]:
    """Notes for stderr, and the bytes for stdout. Raises `OSError`, and `ResponseError`."""
    query = "&".join(
        f"{name}={_quoted(value)}" for name, value in fields if name not in ("library", "server")
    )
    body = get(url, token, f"/api/v1/search/printed?{query}")
    head, blank, out = (b"", b"\n", body[1:]) if body.startswith(b"\n") else body.partition(b"\n\n")
    if not blank:
        raise ResponseError(f"{url} sent an incomplete answer")
    return head.decode(errors="replace").splitlines(), out


def get(url: str, token: str, target: str) -> bytes:
    """Body of a clipsight server's response to GET.

    Raises `OSError`, and `ResponseError` if the status is not 200, or it is not a clipsight server.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "https":
        return _get_encrypted(url, token, target)
    host, _, prefix = rest.rstrip("/").partition("/")
    head = f"GET {'/' if prefix else ''}{prefix}{target} HTTP/1.0\r\nHost: {host}\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "80")
    response = _exchange(name.strip("[]"), port, f"{head}\r\n".encode(errors="surrogateescape"))
    top, blank, body = response.partition(b"\r\n\r\n")
    status, *lines = top.split(b"\r\n")
    pairs = [line.partition(b":") for line in lines]
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    is_answer = blank and status.startswith(b"HTTP/1") and status.split(b" ")[1:2] == [b"200"]
    if not is_answer or MARK.encode() not in headers:
        raise ResponseError(f"{url} gave no result")
    if headers.get(b"content-length") != b"%d" % len(body):
        raise ResponseError(f"{url} sent an incomplete answer")
    return body


def _exchange(name: str, port: str, request: bytes) -> bytes:
    """Send the request and return the response. Raises `ResponseError` if it is too slow or too large."""
    import _socket  # importing `socket`, which wraps it, takes 7 ms more

    try:
        if not 0 <= int(port) <= 65535:
            raise ValueError
        addresses = _socket.getaddrinfo(name, int(port), 0, _socket.SOCK_STREAM)
    except (ValueError, UnicodeError) as error:
        raise ResponseError(f"{name}:{port} is not an address") from error
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    connection = _socket.socket(*addresses[0][:3])
    try:
        connection.settimeout(_TIMEOUT_SECONDS)
        connection.connect(addresses[0][4])
        connection.sendall(request)
        response = bytearray()
        while chunk := connection.recv(1 << 16):
            response += chunk
            if len(response) > _MAX_BYTES or time.monotonic() > deadline:
                raise ResponseError(f"{name}:{port} sends without end")
        return bytes(response)
    finally:
        connection.close()


def _get_encrypted(url: str, token: str, target: str) -> bytes:
    from clipsight.core import http

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = http.send(http.Request(url.rstrip("/") + target, headers=headers, timeout=_TIMEOUT_SECONDS))
    except http.HttpError as error:
        raise ResponseError(str(error)) from error
    if answer.status != 200 or MARK not in answer.headers:
        raise ResponseError(f"{url} gave no result")
    return answer.body


def _may_be_picture(text: str) -> bool:
    """Check if a part of the query could name a picture for the command; for the server, all is text."""
    summands = [text, *" ".join(text.split()).replace(" - ", " + ").split(" + ")]
    values = [value for part in summands for value in (part.strip(), part.partition(":")[2].strip())]
    return any(
        value.lower().startswith(_PICTURE_LIKE)
        or ("." in value and " " not in value)
        or ("/" in value and os.path.isfile(value))
        for value in values
    )


def _quoted(text: str) -> str:
    return "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}"
        for byte in text.encode(errors="surrogateescape")
    )

"""A search by the server that is running already: the command line's way to an answer within milliseconds.

`answer` is asked before anything of the command line is imported. It takes on what a server answers just as
the command would: words, without looking for new photos first (`search --no-indexing`), or from the server
that `--server` names. All else, and all that is wrong, is left to the command itself. Nothing here imports
more than it must: an interpreter that does nothing takes 12 ms; json, re and http.client take 30 more.
"""

import os
import sys

from clipsight.web.client import discovery

_FLAGS = {
    "--json": ("form", "json"),
    "--csv": ("form", "csv"),
    "--paths": ("form", "paths"),
    "--filepath-only": ("form", "paths"),
    "-f": ("form", "paths"),
    "-0": ("form", "paths-0"),
    "--sure": ("sure", "true"),
    "--exact": ("exact", "true"),
    "--balance": ("balance", "true"),
    "--no-balance": ("balance", "false"),
}
_OPTIONS = {
    "--top": "top",
    "-t": "top",
    "--offset": "offset",
    "--min-score": "min_score",
    "--sort": "sort",
    "--label": "label",
    "--add": "add",
    "-a": "add",
    "--subtract": "subtract",
    "-s": "subtract",
    "--library": "library",
    "--server": "server",
}
_PICTURE_LIKE = ("./", "../", "/", "~/", "http://", "https://")
_TIMEOUT_SECONDS = 30.0


class Refused(Exception):
    """The server's answer was not a result; `str` is why."""


def answer(arguments: list[str]) -> int | None:
    """The exit code, once the server's answer to this command line is printed; None where there is none."""
    asked = read_arguments(arguments)
    if asked is None:
        return None
    found = place(asked)
    if found is None:
        return None
    try:
        notes, out = search(*found, [*asked, *terminal()])
    except (OSError, Refused):
        return None  # the command does it by itself, or tells what is wrong
    except KeyboardInterrupt:
        return 130
    sys.stdout.flush()
    sys.stdout.buffer.write(out)
    sys.stdout.buffer.flush()
    for note in notes:
        print(f"clipsight: {note}", file=sys.stderr)
    return 0


def read_arguments(arguments: list[str]) -> list[tuple[str, str]] | None:
    """The request that a command line makes, as names and values; None if it is not for a server."""
    if arguments[:1] != ["search"]:
        return None
    asked: list[tuple[str, str]] = []
    words: list[str] = []
    fresh = True
    rest = iter(arguments[1:])
    for argument in rest:
        name, equals, value = argument.partition("=") if argument.startswith("--") else (argument, "", "")
        if argument in ("-n", "--no-indexing"):
            fresh = False
        elif argument in _FLAGS:
            asked.append(_FLAGS[argument])
        elif name in _OPTIONS:
            given = value if equals else next(rest, None)
            if given is None:
                return None
            asked.append((_OPTIONS[name], given))
        elif argument.startswith("-") and not argument.startswith("- "):
            return None
        else:
            words.append(argument)
    values = dict(asked)
    looks = [value for name, value in asked if name in ("add", "subtract")] + words
    if len(words) != 1 or (fresh and "server" not in values) or any(map(_may_be_picture, looks)):
        return None
    if sum(name == "form" for name, _ in asked) > 1:
        return None
    return [("q", words[0]), *asked]


def place(asked: list[tuple[str, str]]) -> tuple[str, str] | None:
    """Address and token of the server to ask."""
    values = dict(asked)
    if "server" in values:
        return values["server"], os.environ.get("CLIPSIGHT_TOKEN", "")
    library = values.get("library")
    return discovery.find(os.path.expanduser(library) if library else discovery.default_library())


def terminal() -> list[tuple[str, str]]:
    """How wide a table may be, and whether it may have colours."""
    if not sys.stdout.isatty():
        return [("width", "200"), ("colour", "false")]
    try:
        width = int(os.environ.get("COLUMNS", "")) or os.get_terminal_size().columns
    except (ValueError, OSError):
        try:
            width = os.get_terminal_size().columns
        except OSError:
            width = 80
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown")
    return [("width", str(width)), ("colour", "false" if plain else "true")]


def search(url: str, token: str, asked: list[tuple[str, str]]) -> tuple[list[str], bytes]:
    """Notes, and what the command prints. Raises `OSError`, and `Refused` with the reason."""
    query = "&".join(f"{name}={_quoted(value)}" for name, value in asked if name not in ("library", "server"))
    status, body = get(url, token, f"/api/v1/search/printed?{query}")
    if status != 200:
        raise Refused(body.decode(errors="replace"))
    notes: list[str] = []
    while not body.startswith(b"\n"):
        note, _, body = body.partition(b"\n")
        notes.append(note.decode())
    return notes, body[1:]


def get(url: str, token: str, target: str) -> tuple[int, bytes]:
    """Status and body of a GET request. Raises `OSError`, and `Refused` for what is no HTTP."""
    scheme, _, rest = url.partition("://")
    host, _, prefix = rest.rstrip("/").partition("/")
    head = f"GET {'/' if prefix else ''}{prefix}{target} HTTP/1.0\r\nHost: {host}\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if scheme == "https":
        return _get_encrypted(url, token, target)
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "80")
    answered = b"".join(_exchange(name.strip("[]"), port, f"{head}\r\n".encode()))
    top, blank, body = answered.partition(b"\r\n\r\n")
    fields = top.split(b" ", 2)
    if not blank or len(fields) < 2 or not fields[0].startswith(b"HTTP/1") or not fields[1].isdigit():
        raise Refused(f"what answers at {url} is no clipsight server")
    return int(fields[1]), body


def _exchange(name: str, port: str, request: bytes) -> list[bytes]:
    """Send the request, and take all that comes back until the other side ends."""
    import _socket  # what `socket` wraps; that takes 7 ms more

    try:
        places = _socket.getaddrinfo(name, int(port), 0, _socket.SOCK_STREAM)
    except (ValueError, UnicodeError) as error:
        raise Refused(f"{name}:{port} is no address") from error
    connection = _socket.socket(*places[0][:3])
    try:
        connection.settimeout(_TIMEOUT_SECONDS)
        connection.connect(places[0][4])
        connection.sendall(request)
        chunks = []
        while chunk := connection.recv(1 << 16):
            chunks.append(chunk)
        return chunks
    finally:
        connection.close()


def _get_encrypted(url: str, token: str, target: str) -> tuple[int, bytes]:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urlopen(
            Request(url.rstrip("/") + target, headers=headers), timeout=_TIMEOUT_SECONDS
        ) as answered:
            return answered.status, answered.read()
    except HTTPError as error:
        return error.code, error.read()


def _may_be_picture(text: str) -> bool:
    """Whether the command would take some part of the query for a picture: the server takes all for words."""
    pieces = [text, *" ".join(text.split()).replace(" - ", " + ").split(" + ")]
    values = [value for piece in pieces for value in (piece.strip(), piece.partition(":")[2].strip())]
    return any(
        value.lower().startswith(_PICTURE_LIKE)
        or ("." in value and " " not in value)
        or os.path.isfile(value)
        for value in values
    )


def _quoted(text: str) -> str:
    return "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}"
        for byte in text.encode(errors="surrogateescape")
    )

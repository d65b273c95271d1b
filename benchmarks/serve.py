"""The server under load: many clients at once, searching beside other work, and the command line through it.

    python -m benchmarks.serve WORK [--photos 100000] [--clients 32] [--seconds 60] [--think 0.25 0]

Clients send words, pictures and requests for thumbnails in turn at random over connections that stay open,
each the next a quarter of a second after its answer; then without any pause, when as many requests as there
are clients are under way at any time. Each time one client is alone first, with the same pauses. `x single`
is the 95th percentile as a multiple of the single client's median of the same kind; below it the same over
all kinds, each request by the median of its own. The server, and the clients, share this machine's cores.
Where clients stand for people, load tools advise pauses, of seconds (k6's `sleep`,
https://k6.io/docs/v0.32/javascript-api/k6/sleep-t/; Locust's `wait_time`).

No server can answer more than the cores have time for: with `clients` requests always under way, each
costing so much CPU, the mean answer takes clients x CPU / cores. That limit is printed, too, as a multiple of
the mean answer to one client alone. Only work that requests share lowers it.
"""

import argparse
import base64
import http.client
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import measure, photos, synthetic

_KINDS = ("words", "thumbnail", "picture")
_SHARES = (0.4, 0.5, 0.1)
_COLOURS = ("red", "blue", "green", "white", "black", "old", "small", "wooden", "bright", "wet")
_THINGS = ("dog", "cat", "car", "tree", "flower", "child", "house", "boat", "bridge", "cake", "bird", "hat")
_PLACES = ("beach", "street", "table", "lake", "mountain", "field", "roof", "river", "garden", "stage")
_DIM = 256  # of the builtin model
_REAL = 300
_WIDTH = 1280
_CONNECTIONS = 6  # of a browser to one server

Request = tuple[str, str, bytes | None]


@dataclass
class Server:
    """A server that runs, and what one may ask it for."""

    process: "subprocess.Popen[str]"
    place: str
    picture: bytes
    photo_ids: list[int] = field(default_factory=list)

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096

    def request(self, kind: str, dice: random.Random) -> Request:
        """Method, path and body of a request of this kind; hardly any two are alike."""
        one, other = dice.sample(_THINGS, 2)
        words = f"a {dice.choice(_COLOURS)} {one} and a {other} on the {dice.choice(_PLACES)}"
        if kind == "words":
            return "GET", f"/api/v1/search?q={words.replace(' ', '+')}&top=20", None
        if kind == "thumbnail":
            return "GET", f"/api/v1/photos/{dice.choice(self.photo_ids)}/thumbnail?size=320", None
        comment = self.picture[:2] + b"\xff\xfe\x00\x0a%08d" % dice.randrange(10**8) + self.picture[2:]
        part = {"picture": base64.b64encode(comment).decode()}
        return "POST", "/api/v1/search", json.dumps({"parts": [part, {"text": words}]}).encode()


@dataclass
class Outcome:
    """How long answers took in seconds, by kind, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    peak_bytes: int = 0

    @property
    def all(self) -> list[float]:
        return [each for some in self.seconds.values() for each in some]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="a folder for photos and a library; about 3 KB a photo")
    parser.add_argument("--photos", type=int, default=100_000, help="vectors in the library")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument(
        "--think", type=float, nargs="+", default=[0.25, 0.0], help="pause before each request in seconds"
    )
    parser.add_argument("--times", type=int, default=25, help="runs of the command line (default 25)")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    library = make_library(work, arguments.photos)
    measure.print_machine("onnxruntime", "faiss-cpu", "fastapi", "uvicorn")
    with running_server(library, work) as server:
        _ask(server, 1, arguments.seconds / 3, 0, _KINDS, _SHARES)  # thumbnails are made while it warms up
        for think in arguments.think:
            _load(server, arguments.clients, arguments.seconds, think)
        _command_line(library, work, arguments.times)
        _thumbnails(server, arguments.seconds / 6)
        _indexing(server, work, arguments.seconds / 2)
    for used in (library, work / "new"):
        shutil.rmtree(used)


def make_library(work: Path, count: int) -> Path:
    """A library of synthetic vectors, and of real photos for the thumbnails; a new copy for each run."""
    made, used, real = work / f"serve-{count}", work / "serve-now", work / "real"
    if not real.exists():
        photos.parts(real, _REAL, _WIDTH)
    if not made.exists():
        paths = [str(work / "none" / f"{n // 1000:04}" / f"IMG_{n % 1000:04}.jpg") for n in range(count)]
        synthetic.fill_clipsight(made, work / "home", Path("builtin"), paths, _DIM)
        command = measure.clipsight("index", real, "--library", made)
        measure.run(command, cwd=work, env=measure.environment(work / "home"))
    shutil.rmtree(used, ignore_errors=True)
    shutil.copytree(made, used)
    return used


@contextmanager
def running_server(library: Path, work: Path, *, page: bool = False) -> Iterator[Server]:
    """A server for `library`, with the page or without it."""
    options = [] if page else ["--no-page"]
    command = measure.clipsight("serve", *options, "--port", "0", "--library", library, "--roots", work)
    env = {**os.environ, **measure.environment(work / "home")}
    process = subprocess.Popen(list(map(str, command)), env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    place = process.stdout.readline().rpartition("//")[2].strip().rstrip("/")
    picture = sorted((work / "real").rglob("*.jpg"))[0].read_bytes()
    server = Server(process, place, picture)
    try:
        real = next(each["id"] for each in _get(place, "/api/v1/folders") if each["path"].endswith("/real"))
        found = _get(place, f"/api/v1/search?q=photo&top=1000&folder={real}")
        server.photo_ids = [match["id"] for match in found["matches"]]
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _load(server: Server, clients: int, seconds: float, think: float) -> None:
    single = _ask(server, 1, seconds / 3, think, _KINDS, _SHARES)
    before = server.resident_bytes()
    worked = measure.busy_seconds()
    many = _ask(server, clients, seconds, think, _KINDS, _SHARES)
    cost = (measure.busy_seconds() - worked) / len(many.all)
    heading = ("", "single median ms", "median ms", "p95 ms", "x single", "requests", "errors")
    rows = [
        _row(kind, single.seconds[kind], many.seconds[kind], sum(kind in error for error in many.errors))
        for kind in _KINDS
    ]
    print(
        f"\n{clients} clients for {seconds:.0f} s that pause {think:g} s between requests, "
        f"{len(many.all) / seconds:.0f} answers a second"
    )
    measure.print_table(heading, rows)
    times = [each / statistics.median(single.seconds[kind]) for kind in _KINDS for each in many.seconds[kind]]
    print(f"all kinds: median {statistics.median(times):.1f}, p95 {_percentile(times, 0.95):.1f} x single")
    alone = statistics.mean(single.all)
    least = max(1.0, (clients * cost / measure.cores() - think) / alone)
    print(
        f"{cost * 1e3:.1f} ms of CPU an answer: the mean can't be below {least:.1f} x single; "
        f"it is {statistics.mean(many.all) / alone:.1f}"
    )
    print(f"memory: {before / 1e6:.0f} MB before, {many.peak_bytes / 1e6:.0f} MB at most", flush=True)
    for error in many.errors[:5]:
        print(error)


def _row(name: str, single: list[float], many: list[float], errors: int) -> tuple[str, ...]:
    alone, p95 = statistics.median(single), _percentile(many, 0.95)
    figures = (alone, statistics.median(many), p95)
    return (
        name,
        *(f"{each * 1e3:.1f}" for each in figures),
        f"{p95 / alone:.1f}",
        f"{len(many)}",
        f"{errors}",
    )


def _thumbnails(server: Server, seconds: float) -> None:
    """Search by one client, before and while a browser asks for thumbnails that are not made yet."""
    before = _ask(server, 1, seconds, 0, ("words",), (1.0,))
    todo = [f"/api/v1/photos/{id_}/thumbnail?size={size}" for size in (640, 1280) for id_ in server.photo_ids]
    paths = iter(todo)

    def look() -> None:
        connection = http.client.HTTPConnection(server.place, timeout=60)
        for path in paths:
            connection.request("GET", path)
            connection.getresponse().read()
        connection.close()

    threads = [threading.Thread(target=look) for _ in range(_CONNECTIONS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    during = Outcome()
    while any(thread.is_alive() for thread in threads):
        during.seconds["words"] += _ask(server, 1, 0.5, 0, ("words",), (1.0,)).all
    taken = time.perf_counter() - started
    print(f"\nwords while {len(todo)} thumbnails of photos of {_WIDTH} pixels are made in {taken:.1f} s")
    _print_beside(before, during, "while they are made")


def _indexing(server: Server, work: Path, seconds: float) -> None:
    """Search by one client, before and while thousands of new photos are indexed."""
    shutil.rmtree(work / "new", ignore_errors=True)
    photos.small(work / "new", 6000, 640)
    before = _ask(server, 1, seconds, 0, ("words",), (1.0,))
    (root,) = _get(server.place, "/api/v1/roots")
    folders = _get(server.place, f"/api/v1/roots/{root['id']}/folders")
    new = next(each["id"] for each in folders if each["path"].endswith("/new"))
    job = request_json(server.place, "/api/v1/index", {"folders": [new]})
    while not _get(server.place, f"/api/v1/index/{job['id']}")["embedded"]:
        time.sleep(0.2)
    during = _ask(server, 1, seconds, 0, ("words",), (1.0,))
    told = _get(server.place, f"/api/v1/index/{job['id']}")
    print(f"\nwords while indexing, {told['state']}: {told['embedded']:,} of {told['total']:,} photos")
    _print_beside(before, during, "while indexing")
    request_json(server.place, f"/api/v1/index/{job['id']}", None, method="DELETE")


def _print_beside(before: Outcome, during: Outcome, name: str) -> None:
    rows = [
        (name, f"{statistics.median(each.all) * 1e3:.1f}", f"{_percentile(each.all, 0.95) * 1e3:.1f}")
        for name, each in (("before", before), (name, during))
    ]
    measure.print_table(("", "median ms", "p95 ms"), rows)
    print(f"p95: {_percentile(during.all, 0.95) / _percentile(before.all, 0.95):.1f} x", flush=True)


def _command_line(library: Path, work: Path, times: int) -> None:
    """Whole processes: an interpreter that does nothing, and searches through the server, in turn."""
    search = measure.clipsight("search", "-n", "two dogs on a beach", "--library", library)
    commands = {
        "python": [sys.executable, "-c", "pass"],
        "search": search,
        "search --json": [*search, "--json"],
    }
    runs: dict[str, list[measure.Run]] = defaultdict(list)
    for _ in range(times):
        for name, command in commands.items():
            runs[name].append(measure.run(command, cwd=work, env=measure.environment(work / "home")))
    rows = [
        (
            name,
            f"{statistics.median(run.seconds for run in some) * 1e3:.0f}",
            f"{min(run.seconds for run in some) * 1e3:.0f}",
            f"{statistics.median(run.cpu_seconds for run in some) * 1e3:.0f}",
        )
        for name, some in runs.items()
    ]
    print("\nthe command line through the server, whole processes")
    measure.print_table(("", "median ms", "least ms", "its CPU ms"), rows)


def _ask(
    server: Server,
    clients: int,
    seconds: float,
    think: float,
    kinds: tuple[str, ...],
    shares: tuple[float, ...],
) -> Outcome:
    """What so many clients see for so long."""
    outcome = Outcome()
    until = time.monotonic() + seconds

    def client(number: int) -> None:
        dice = random.Random(number + time.time())
        connection = http.client.HTTPConnection(server.place, timeout=60)
        due = dice.sample(kinds, len(kinds))  # each kind once, however short the time
        while due or time.monotonic() < until:
            kind = due.pop() if due else dice.choices(kinds, shares)[0]
            method, path, body = server.request(kind, dice)
            started = time.perf_counter()
            try:
                connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
                answer = connection.getresponse()
                content = answer.read()
                if answer.status != 200:
                    outcome.errors.append(f"{kind}: {answer.status} {content[:200]!r}")
            except OSError as error:
                outcome.errors.append(f"{kind}: {error!r}")
                connection.close()
            outcome.seconds[kind].append(time.perf_counter() - started)
            if think:
                time.sleep(think)
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        outcome.peak_bytes = max(outcome.peak_bytes, server.resident_bytes())
        time.sleep(0.5)
    return outcome


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _get(place: str, path: str) -> Any:
    """What the server answers, from JSON."""
    return request_json(place, path, None, method="GET")


def request_json(place: str, path: str, content: object, method: str = "POST") -> Any:
    connection = http.client.HTTPConnection(place, timeout=60)
    body = None if content is None else json.dumps(content)
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    if answer.status >= 400:
        raise SystemExit(f"{method} {path}: {told}")
    return told


if __name__ == "__main__":
    main()

"""Real server processes: started, used, shut down, killed; and failures to start."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from clipsight import Library
from clipsight.core.errors import QueryError, ServerError
from clipsight.search.options import SearchOptions
from clipsight.search.query import Query
from clipsight.web.client import discovery, remote
from clipsight.web.client.local import try_server
from clipsight.web.server.run import (
    check_root_path,
    check_token,
    is_loopback,
    listen,
    server_url,
    url_for_devices,
)
from tests.support.samples import SAMPLES, copy_samples
from tests.support.scores import check_near_text
from tests.support.waiting import PATIENCE, wait_until

TOKEN = "a-token-of-some-length"


@dataclass
class Running:
    """A server process, where it listens, and its library."""

    process: "subprocess.Popen[str]"
    url: str
    library: Path

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        return self.request("GET", path, **headers)

    def request(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=PATIENCE)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, given | {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _start(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "clipsight", "serve", "--no-page", "--port", "0", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def _server(library: Path, *arguments: object) -> Iterator[Running]:
    process = _start("--library", library, *arguments)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("clipsight is at http://"), line + process.communicate()[1]
    try:
        yield Running(process, line.split()[-1], library)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def library(tmp_path: Path, tiny_model: Path) -> Path:
    with Library.open(tmp_path / "library", model=str(tiny_model)) as made:
        made.index(copy_samples(tmp_path / "photos"))
    return tmp_path / "library"


def _ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_answers_until_a_signal_ends_it(library: Path, number: int) -> None:
    with _server(library) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert server.get("/health") == (200, b'{"ok":true}')
        assert discovery.find(str(library)) == (server.url, "")
        server.process.send_signal(number)
        code, _, err = _ended(server.process)
        assert code == 0 and "Traceback" not in err
    assert discovery.find(str(library)) is None and not (library / discovery.NAME).exists()


@pytest.mark.process
def test_running_requests_are_answered_before_shutdown(library: Path) -> None:
    with _server(library, "--threads", 1) as server:
        labels = json.dumps(
            {"labels": [f"label {n}" for n in range(300)], "everything": True, "templates": "imagenet"}
        )
        answers: list[tuple[int, bytes]] = []
        asking = threading.Thread(
            target=lambda: answers.append(server.request("POST", "/api/v1/classify", labels))
        )
        asking.start()
        while b"clipsight_requests_in_progress 2" not in server.get("/metrics")[1] and asking.is_alive():
            time.sleep(0.02)
        server.process.terminate()
        asking.join()
        assert _ended(server.process)[0] == 0
    assert answers[0][0] in (200, 503)  # 503: stopped after the grace it has


@pytest.mark.process
def test_a_run_and_its_event_streams_end_with_the_server(library: Path, tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / "photos" / f"{number}.png").write_bytes(SAMPLES["cat.png"].read_bytes() + b"%d" % number)
    with _server(library, "--roots", tmp_path) as server:
        job = json.loads(server.request("POST", "/api/v1/index", "{}")[1])
        stream = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=PATIENCE)
        stream.sendall(f"GET /api/v1/index/{job['id']}/events HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        assert b"200 OK" in stream.recv(4096)
        server.process.terminate()
        while stream.recv(4096):
            pass
        assert _ended(server.process)[0] == 0
        stream.close()
    with Library.open(library) as kept:
        assert len(kept) >= len(SAMPLES)


@pytest.mark.process
def test_indexing_ends_with_a_killed_server_and_another_can_start(library: Path, tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / "photos" / f"{number}.png").write_bytes(SAMPLES["cat.png"].read_bytes() + b"%d" % number)
    with _server(library) as server:
        server.request("POST", "/api/v1/index", "{}")
        (child,) = _children(server.process.pid)
        server.process.kill()
        server.process.wait()
        wait_until(lambda: not _is_alive(child))
    assert discovery.find(str(library)) is None
    with _server(library) as server:
        assert server.get("/health")[0] == 200


def _children(pid: int) -> list[int]:
    def found() -> set[int]:
        threads = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/children")]
        return {int(child) for child in " ".join(threads).split()}

    wait_until(lambda: bool(found()))
    return list(found())


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.process
def test_a_client_that_disconnects_does_no_harm(library: Path) -> None:
    with _server(library) as server:
        port = int(server.url.rpartition(":")[2])
        for request in (
            b"",
            b"GET /api",
            b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
        ):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(request)
        body = json.dumps(
            {"labels": [f"l{n}" for n in range(1000)], "everything": True, "templates": "imagenet"}
        )
        head = f"POST /api/v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"{head}Content-Type: application/json\r\n\r\n{body}".encode())
            time.sleep(0.1)
        # Its work has been given up.
        wait_until(lambda: b"clipsight_requests_in_progress 1.0\n" in server.get("/metrics")[1], step=0.05)
        assert server.get("/api/v1/search?q=cat")[0] == 200


@pytest.mark.process
def test_the_command_line_prints_the_same_through_a_server(
    library: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with _server(library, "--token", TOKEN) as server:
        assert server.get("/api/v1/search?q=cat")[0] == 401
        for form in ((), ("--json",), ("--csv",), ("--paths",), ("-0",)):
            arguments = ["search", "-n", "a cat - 2:rocket", "--library", str(library), "--top", "4", *form]
            command = [
                sys.executable,
                "-m",
                "clipsight",
                *arguments,
                "--device",
                "cpu",
            ]  # which the server does not serve
            alone = subprocess.run(command, capture_output=True, text=True, check=True)
            assert try_server(arguments) == 0
            printed = capfd.readouterr()
            check_near_text(printed.out, alone.stdout)
            assert printed.err == alone.stderr


@pytest.mark.process
def test_a_search_by_a_picture_goes_to_the_server_too(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = Query.parse(f"{SAMPLES['cat.png']} + 0.5:a cat")
    with _server(library, "--token", TOKEN) as server:
        with pytest.raises(ServerError, match="CLIPSIGHT_TOKEN"):
            remote.search(server.url, query, SearchOptions(top=3))
        monkeypatch.setenv("CLIPSIGHT_TOKEN", TOKEN)
        found = remote.search(server.url, query, SearchOptions(top=3))
        assert found[0].path.name == "cat.png" and len(found) == 3 and found.query == str(query)
        with pytest.raises(ServerError, match=r"refuses: .*top"):
            remote.search(server.url, query, SearchOptions(top=10**6))
        with pytest.raises(QueryError, match="fetches no addresses"):
            remote.search(server.url, Query.parse("http://example.org/x.jpg"))
    with pytest.raises(ServerError, match="no clipsight server answers"):
        remote.search(server.url, query, SearchOptions(top=3))


# -- failures to start --------------------------------------------------------------


@pytest.mark.process
def test_a_port_in_use_is_reported(library: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = _start("--library", library, "--port", taken.getsockname()[1])
        code, out, err = _ended(process)
    assert code == 2 and not out and err.count("\n") == 1
    assert "Address already in use" in err and "choose another --port" in err


@pytest.mark.process
def test_a_second_server_for_a_library_is_refused(library: Path) -> None:
    with _server(library):
        code, out, err = _ended(_start("--library", library))
    assert code == 2 and not out and "already running for the library" in err and err.count("\n") == 1


@pytest.mark.process
def test_an_impossible_library_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = _ended(_start("--library", tmp_path / "file"))
    assert code == 2 and err.startswith("clipsight: ") and "Traceback" not in err


@pytest.mark.process
def test_a_missing_model_is_reported(tmp_path: Path, tiny_model: Path) -> None:
    import shutil

    shutil.copytree(tiny_model, tmp_path / "model")
    with Library.open(tmp_path / "library", model=str(tmp_path / "model")) as made:
        made.index(copy_samples(tmp_path / "photos"))
    shutil.rmtree(tmp_path / "model")
    code, _, err = _ended(_start("--library", tmp_path / "library"))
    assert code == 2 and "model" in err and err.count("\n") == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "nas.local"])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(ServerError, match="token"):
        check_token(host, None)
    check_token(host, TOKEN)


@pytest.mark.parametrize(
    "token", ["", "short", "fifteen-letters", "no\nnew-line-in-tokens", "schlüssel-mit-umlaut"]
)
def test_invalid_tokens_are_refused(token: str) -> None:
    with pytest.raises(ServerError, match="at least 16"):
        check_token("127.0.0.1", token)


def test_loopback_hosts() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org")))


def test_server_urls() -> None:
    assert server_url("0.0.0.0", 1) == "http://127.0.0.1:1"
    assert server_url("::1", 1) == "http://[::1]:1"
    assert server_url("nas", 1) == "http://nas:1"


def test_the_address_for_other_devices_is_found_without_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    class Probe(socket.socket):
        address = "192.168.1.5"

        def connect(self, address: object) -> None:
            assert self.type == socket.SOCK_DGRAM and address == ("192.0.2.1", 9)

        def getsockname(self) -> tuple[str, int]:
            return self.address, 1

        def send(self, *arguments: object) -> int:
            raise AssertionError("traffic")

    monkeypatch.setattr(socket, "socket", Probe)
    assert url_for_devices("http://127.0.0.1:7860/photos") == "http://192.168.1.5:7860/photos"
    for address in ("127.0.0.1", "0.0.0.0"):
        Probe.address = address
        assert url_for_devices("http://127.0.0.1:7860") is None

    def unreachable(self: socket.socket, address: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(Probe, "connect", unreachable)
    assert url_for_devices("http://127.0.0.1:7860") is None


def test_root_paths() -> None:
    assert [check_root_path(path) for path in ("", "/", "/photos", "/a/b/")] == ["", "", "/photos", "/a/b"]
    for path in ("photos", "/a b", "//x", "/a/../b", "/x?y", "http://x/y", "/api", "/en/photos"):
        with pytest.raises(ServerError, match="`root_path`"):
            check_root_path(path)


def test_a_host_of_another_machine_is_refused() -> None:
    for host in ("203.0.113.7", "nowhere.invalid"):
        with pytest.raises(ServerError, match="can't listen"):
            listen(host, 0)

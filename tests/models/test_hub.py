"""Responses and failures of a hub, from a real server on 127.0.0.1."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clipsight.models.hub import HubError, NotOnnxError, RemoteFile, list_repo, list_repo_within, stream_file
from tests.support.hub_server import HubServer, tiny_repository

REPO = "immich-app/tiny"
FILES = tiny_repository()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer({REPO: FILES}) as server:
        server.connect(monkeypatch)
        yield server


def test_the_test_server_satisfies_huggingface_hub_itself(hub: HubServer, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download

    for name in ("config.json", "visual/model.onnx"):
        path = hf_hub_download(REPO, name, endpoint=hub.url, cache_dir=tmp_path)
        assert Path(path).read_bytes() == FILES[name]


def test_a_listing_has_the_models_files_with_sizes_and_checksums(hub: HubServer) -> None:
    found = list_repo(REPO)
    assert [file.name for file in found.files] == [
        "config.json",
        "textual/model.onnx",
        "textual/tokenizer.json",
        "textual/tokenizer_config.json",
        "visual/model.onnx",
        "visual/preprocess_cfg.json",
    ]
    assert found.commit == hub.commit(REPO)
    assert found.endpoint == hub.url
    assert found.size == sum(len(FILES[file.name]) for file in found.files)
    by_name = {file.name: file for file in found.files}
    weights = FILES["visual/model.onnx"]
    assert by_name["visual/model.onnx"].checksum == hashlib.sha256(weights).hexdigest()
    config = FILES["config.json"]
    git = hashlib.sha1(b"blob " + str(len(config)).encode() + b"\0" + config).hexdigest()
    assert by_name["config.json"].checksum == git


@pytest.mark.parametrize("name", ["config.json", "visual/model.onnx"])
def test_a_file_matches_only_its_own_content(hub: HubServer, tmp_path: Path, name: str) -> None:
    file = next(file for file in list_repo(REPO).files if file.name == name)
    path = tmp_path / "file"
    content = FILES[name]
    path.write_bytes(content)
    assert file.matches(path)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert not file.matches(path)
    path.write_bytes(content[:-1])
    assert not file.matches(path)


def test_the_checksum_of_an_empty_file_is_that_of_git(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert RemoteFile("empty", 0, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391").matches(path)


@pytest.mark.parametrize("start", [0, 1, 100_000, 199_999])
def test_a_file_is_streamed_from_any_offset(hub: HubServer, start: int) -> None:
    found = list_repo(REPO)
    file = next(file for file in found.files if file.name == "visual/model.onnx")
    with stream_file(found, file, start) as (offset, blocks):
        assert offset == start
        assert b"".join(blocks) == FILES["visual/model.onnx"][start:]
    hub.faults.ignore_range = True
    with stream_file(found, file, start) as (offset, blocks):
        assert offset == 0
        assert b"".join(blocks) == FILES["visual/model.onnx"]


def test_the_token_goes_to_the_hub_and_not_to_its_cdn(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    found = list_repo(REPO)
    file = next(file for file in found.files if file.name == "visual/model.onnx")
    with stream_file(found, file, 0) as (_, blocks):
        assert len(b"".join(blocks)) == file.size
    asked = {request.path.split("/")[1]: request.authorization for request in hub.requests}
    assert asked == {"api": "Bearer hf_secret", "immich-app": "Bearer hf_secret", "cdn": None}


def test_an_unknown_repository(hub: HubServer) -> None:
    with pytest.raises(HubError, match=r"there is no model immich-app/none at http://127\.0\.0\.1.*HF_TOKEN"):
        list_repo("immich-app/none")


def test_a_repository_of_another_kind_is_not_onnx(hub: HubServer) -> None:
    hub.repos["openai/clip"] = {"config.json": b"{}", "pytorch_model.bin": b"..."}
    with pytest.raises(NotOnnxError, match="openai/clip is not in the ONNX form"):
        list_repo("openai/clip")


def test_a_gated_repository(hub: HubServer) -> None:
    hub.faults.status, hub.faults.error_code = 403, "GatedRepo"
    with pytest.raises(HubError, match=r"accept its terms at .*/immich-app/tiny and set HF_TOKEN"):
        list_repo(REPO)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_server_errors_of_the_hub(hub: HubServer, status: int) -> None:
    hub.faults.status = status
    with pytest.raises(HubError, match=rf"can't be used now \(it answered with HTTP status {status}\)"):
        list_repo(REPO)


def test_a_login_page_instead_of_the_hub(hub: HubServer) -> None:
    hub.faults.page = b"<html>Welcome to the hotel</html>"
    with pytest.raises(HubError, match="does not answer as a model hub"):
        list_repo(REPO)


def test_a_hub_without_checksums_is_an_error(hub: HubServer) -> None:
    hub.faults.without_checksums = True
    with pytest.raises(HubError, match=r"gives no checksum for config\.json"):
        list_repo(REPO)


def test_no_server_at_the_endpoint(hub: HubServer) -> None:
    hub.stop()
    with pytest.raises(
        HubError, match=r"the model hub at http://127\.0\.0\.1:\d+ can't be used now \("
    ) as told:
        list_repo(REPO)
    assert "\n" not in str(told.value)
    assert told.value.reason in str(told.value)


@pytest.mark.parametrize("endpoint", ["hub", "ftp://127.0.0.1", "http://"])
def test_an_endpoint_that_is_not_a_url(
    monkeypatch: pytest.MonkeyPatch, hub: HubServer, endpoint: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(HubError, match="not a web address"):
        list_repo(REPO)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_no_request_is_sent(hub: HubServer, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    for ask in (list_repo, lambda repo: list_repo_within(repo, 1.0)):
        with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
            ask(REPO)
    assert hub.requests == []


def test_list_repo_within_returns_listings_and_raises_errors(hub: HubServer) -> None:
    assert list_repo_within(REPO, 2.0) == list_repo(REPO)
    with pytest.raises(HubError, match="there is no model immich-app/none"):
        list_repo_within("immich-app/none", 2.0)


@pytest.mark.slow
def test_list_repo_within_if_the_server_never_answers(
    monkeypatch: pytest.MonkeyPatch, hub: HubServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert_given_up()


@pytest.mark.slow
def test_list_repo_within_if_packets_are_dropped(monkeypatch: pytest.MonkeyPatch, hub: HubServer) -> None:
    # A full accept queue makes Linux drop further connection attempts, as a firewall does.
    with ExitStack() as open_sockets:
        full = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{full.getsockname()[1]}")
        assert_given_up()


@pytest.mark.slow
def test_list_repo_within_if_the_host_name_lookup_hangs(
    monkeypatch: pytest.MonkeyPatch, hub: HubServer
) -> None:
    asked, found = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        asked.set()
        found.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    assert_given_up()
    assert asked.is_set()  # and the look-up has not ended
    found.set()


def assert_given_up() -> None:
    """There is no other end than that of the time it may take."""
    with pytest.raises(HubError, match=r"can't be used now \(.*(no answer in 1 s|timed out)"):
        list_repo_within(REPO, 1.0)

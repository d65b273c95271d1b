"""Published weights by name: from the hub, from its cache without a hub, and the errors."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants as constants
import pytest
import torch

from clipsight.clip.checkpoint import save
from clipsight.clip.factory import create
from clipsight.clip.model import CLIP
from clipsight.clip.pretrained import locate, read_preprocess, repository
from clipsight.core.errors import CheckpointError
from clipsight.models.preprocess import PreprocessConfig
from tests.support.clip_weights import TINY_RESNET, TINY_VIT, fill
from tests.support.hub_server import HubServer, files_of

pytestmark = pytest.mark.torch

OPENCLIP = "laion/CLIP-tiny"
HUGGING_FACE = "openai/clip-vit-base-patch32"


@pytest.fixture(scope="module")
def models() -> dict[str, CLIP]:
    built = {HUGGING_FACE: CLIP(TINY_VIT), OPENCLIP: CLIP(TINY_RESNET)}
    for model in built.values():
        fill(model)
    return built


@pytest.fixture
def server(models: dict[str, CLIP], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    save(models[HUGGING_FACE], tmp_path / "openai", "huggingface")
    save(models[OPENCLIP], tmp_path / "laion", "openclip")
    repos = {HUGGING_FACE: files_of(tmp_path / "openai"), OPENCLIP: files_of(tmp_path / "laion")}
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with HubServer(repos) as started:
        started.connect(monkeypatch)
        yield started


@pytest.mark.parametrize("name", [HUGGING_FACE, f"hf-hub:{OPENCLIP}", "ViT-B-32__openai", "ViT-B/32"])
def test_a_hub_model_is_loaded_by_any_of_its_names(
    name: str, server: HubServer, models: dict[str, CLIP]
) -> None:
    model = create(pretrained=name)
    expected = models[OPENCLIP if OPENCLIP in name else HUGGING_FACE]
    assert model.architecture == expected.architecture
    for key, tensor in expected.state_dict().items():
        assert torch.equal(model.state_dict()[key], tensor), key


def test_the_preprocess_config_comes_with_the_weights(server: HubServer) -> None:
    server.repos[HUGGING_FACE]["preprocessor_config.json"] = json.dumps({"image_mean": [0.5] * 3}).encode()
    assert read_preprocess(locate(HUGGING_FACE), 32) == PreprocessConfig((32, 32), mean=(0.5, 0.5, 0.5))


def test_cached_files_are_not_requested_again(server: HubServer) -> None:
    first = locate(OPENCLIP)
    asked = len(server.requests)
    server.stop()
    assert locate(OPENCLIP) == first
    assert len(server.requests) == asked


def test_weights_are_not_downloaded_if_the_config_is_refused(server: HubServer) -> None:
    config = {"model_cfg": {"embed_dim": 8, "vision_cfg": {"timm_model_name": "vit"}, "text_cfg": {}}}
    server.repos[OPENCLIP]["open_clip_config.json"] = json.dumps(config).encode()
    with pytest.raises(CheckpointError, match="timm_model_name"):
        create(pretrained=OPENCLIP)
    assert server.sent("open_clip_model.safetensors") == 0


def test_weights_of_another_architecture_than_the_one_named_are_refused(server: HubServer) -> None:
    with pytest.raises(CheckpointError, match="of another architecture"):
        create("ViT-tiny-8-quickgelu", HUGGING_FACE)


def test_a_repository_without_weights_is_an_error_that_lists_their_names(server: HubServer) -> None:
    server.repos["someone/clip"] = {"README.md": b"#", "flax_model.msgpack": b"1"}
    with pytest.raises(CheckpointError, match=r"someone/clip has no PyTorch weights .*model\.safetensors"):
        locate("someone/clip")


def test_a_missing_repository_is_an_error(server: HubServer) -> None:
    with pytest.raises(CheckpointError, match="no model someone/none"):
        locate("someone/none")


def test_hub_errors_are_reported(server: HubServer) -> None:
    server.faults.status = 503
    with pytest.raises(CheckpointError, match=r"hub at http://127.0.0.1.*on disk") as caught:
        locate(OPENCLIP)
    assert "\n" not in str(caught.value)


def test_a_login_page_is_not_mistaken_for_the_hub(server: HubServer) -> None:
    server.faults.page = b"<html>welcome</html>"
    with pytest.raises(CheckpointError, match="check HF_ENDPOINT"):
        locate(OPENCLIP)


def test_offline_mode_makes_no_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set") as caught:
        locate(OPENCLIP)
    bring = r"bring from https://huggingface\.co/\S+ open_clip_model\.safetensors and open_clip_config\.json"
    assert re.search(bring, str(caught.value)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "repo"),
    [
        ("openai/clip-vit-base-patch32", "openai/clip-vit-base-patch32"),
        ("ViT-B-32__openai", "openai/clip-vit-base-patch32"),
        ("ViT-L/14@336px", "openai/clip-vit-large-patch14-336"),
        ("RN50", "timm/resnet50_clip.openai"),
        ("ViT-B-32/laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
        ("timm/vit_base_patch32_clip_224.openai", "timm/vit_base_patch32_clip_224.openai"),
        ("hf-hub:me/my-clip", "me/my-clip"),
        ("me/my-clip", "me/my-clip"),
    ],
)
def test_names_mean_repositories(name: str, repo: str) -> None:
    assert repository(name) == repo


@pytest.mark.parametrize("name", ["", "ViT", "RN50__cc12m", "a/b/c", "no such model"])
def test_a_name_without_weights_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="owner/name"):
        repository(name)


@pytest.mark.parametrize("path", ["nowhere.pt", "./nowhere", "~/nowhere/x", Path("nowhere")])
def test_a_missing_path_is_not_searched_on_the_hub(path: str | Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere.*check the path"):
        locate(path)


def test_a_file_and_a_folder_are_found(tmp_path: Path) -> None:
    assert locate(tmp_path) == tmp_path
    (tmp_path / "x").touch()
    assert locate(str(tmp_path / "x")) == tmp_path / "x"


def test_an_architecture_is_read_beside_cached_weights(server: HubServer) -> None:
    """The cache's files are links; the config is beside the link, not beside the content."""
    assert create(pretrained=locate(OPENCLIP)).architecture == TINY_RESNET

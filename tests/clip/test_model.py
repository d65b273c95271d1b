"""The whole model: OpenCLIP's and transformers' outputs from the same weights, and what training needs."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from clipsight.clip.architecture import Architecture, VisionConfig
from clipsight.clip.checkpoint import save
from clipsight.clip.factory import create
from clipsight.clip.model import CLIP
from clipsight.core.errors import CheckpointError
from tests.support.clip_weights import TINY_RESNET, TINY_TEXT, TINY_VIT, fill, ids, images

pytestmark = pytest.mark.torch

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "openclip.json").read_text())
TINY = {"vit": TINY_VIT, "resnet": TINY_RESNET}
# The published variants' grids and proportions, small enough for a test: patch 32, 16, 14 and 14 at 336.
VARIANTS = {
    "ViT-B/32": VisionConfig(224, 2, 48, 32, head_width=16),
    "ViT-B/16": VisionConfig(224, 2, 48, 16, head_width=16),
    "ViT-L/14": VisionConfig(224, 3, 64, 14, head_width=16),
    "ViT-L/14@336px": VisionConfig(336, 2, 64, 14, head_width=16),
    "ViT-H-14": VisionConfig(224, 2, 80, 14, head_width=20),
    "ViT-g-14": VisionConfig(224, 2, 88, 14, head_width=22, mlp_ratio=4.3637),
}


def _filled(architecture: Architecture) -> CLIP:
    model = CLIP(architecture).eval()
    fill(model)
    return model


def _worst(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max())


@pytest.mark.parametrize("name", TINY)
@torch.no_grad()
def test_outputs_are_those_of_openclip(name: str) -> None:
    architecture = TINY[name]
    model, pixels, tokens = _filled(architecture), images(architecture), ids(architecture)
    expected = {what: torch.tensor(value) for what, value in GOLDEN[name].items()}
    assert _worst(model.visual(pixels), expected["image"]) <= 1e-5
    assert _worst(model.text(tokens), expected["text"]) <= 1e-5
    assert _worst(model.logits(pixels, tokens), expected["logits"]) <= 1e-5


@pytest.mark.parametrize("quick_gelu", [True, False])
@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_outputs_are_those_of_transformers(name: str, quick_gelu: bool, tmp_path: Path) -> None:
    from transformers import CLIPModel

    architecture = Architecture(24, VARIANTS[name], TINY_TEXT, quick_gelu)
    model, pixels, tokens = _filled(architecture), images(architecture, 2), ids(architecture)
    save(model, tmp_path, "huggingface")
    theirs = CLIPModel.from_pretrained(tmp_path)  # in evaluation mode
    assert _worst(model.visual(pixels), theirs.get_image_features(pixels).pooler_output) <= 1e-5
    assert _worst(model.text(tokens), theirs.get_text_features(tokens).pooler_output) <= 1e-5
    logits = theirs(input_ids=tokens, pixel_values=pixels).logits_per_image
    assert _worst(model.logits(pixels, tokens), logits) <= 1e-5


@pytest.mark.parametrize("architecture", TINY.values(), ids=TINY)
def test_embeddings_have_unit_length_and_logits_are_scaled_cosines(architecture: Architecture) -> None:
    model, pixels, tokens = _filled(architecture), images(architecture, 4), ids(architecture, 3)
    image, text, scale = model(pixels, tokens)
    assert torch.allclose(image.norm(dim=1), torch.ones(4)) and torch.allclose(
        text.norm(dim=1), torch.ones(3)
    )
    assert scale.item() == pytest.approx(math.exp(3))
    cosines = F.cosine_similarity(image[:, None], text[None], dim=-1)
    assert torch.allclose(model.logits(pixels, tokens), scale * cosines, atol=1e-5)


def test_the_initial_temperature_is_that_of_the_paper() -> None:
    assert CLIP(TINY_VIT).logit_scale.item() == pytest.approx(math.log(1 / 0.07))


def test_attention_is_returned_on_request_by_both_towers() -> None:
    model = _filled(TINY_VIT)
    of_image: list[Tensor] = []
    of_text: list[Tensor] = []
    assert torch.allclose(
        model.encode_image(images(TINY_VIT), of_image), model.encode_image(images(TINY_VIT)), atol=1e-6
    )
    model.encode_text(ids(TINY_VIT), of_text)
    assert len(of_image) == len(of_text) == 2


@pytest.mark.parametrize("architecture", TINY.values(), ids=TINY)
def test_activation_checkpointing_saves_memory_and_changes_no_gradient(architecture: Architecture) -> None:
    found, kept = [], []
    for enabled in (False, True):
        model = _filled(architecture).train()
        model.set_activation_checkpointing(enabled)
        sizes: list[int] = []

        def note(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = model.logits(images(architecture), ids(architecture)).square().mean()
        kept.append(sum(sizes))
        torch.autograd.backward(loss)
        found.append({name: each.grad for name, each in model.named_parameters()})
        found[-1] |= dict(model.named_buffers())
    assert kept[1] < kept[0]
    for name, gradient in found[0].items():
        assert gradient is not None and found[1][name] is not None, name
        torch.testing.assert_close(gradient, found[1][name], msg=name)


def test_every_parameter_is_trained() -> None:
    for architecture in TINY.values():
        model = _filled(architecture).train()
        torch.autograd.backward(model.logits(images(architecture), ids(architecture)).square().mean())
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name


def test_create_builds_by_name_in_evaluation_mode() -> None:
    torch.manual_seed(3)
    model = create("RN-tiny")
    assert not model.training and model.architecture == Architecture.named("RN-tiny")
    torch.manual_seed(3)
    assert torch.equal(create("RN-tiny").text.text_projection, model.text.text_projection)


def test_create_needs_a_name_or_weights() -> None:
    with pytest.raises(TypeError, match="needs a name"):
        create()


def test_create_loads_weights_with_a_named_or_detected_architecture(tmp_path: Path) -> None:
    saved = _filled(replace(TINY_VIT, quick_gelu=False))
    save(saved, tmp_path, "openclip")
    file = tmp_path / "arch.json"
    file.write_text(json.dumps(saved.architecture.to_dict()))
    for model in (create(file, tmp_path), create(pretrained=str(tmp_path))):
        assert not model.training and model.architecture == saved.architecture
        for name, tensor in saved.state_dict().items():
            assert torch.equal(model.state_dict()[name], tensor), name
        assert all(parameter.requires_grad for parameter in model.parameters())


def test_create_refuses_weights_of_another_architecture(tmp_path: Path) -> None:
    save(_filled(TINY_VIT), tmp_path, "openclip")
    with pytest.raises(CheckpointError, match="of another architecture"):
        create("ViT-tiny-8-quickgelu", tmp_path)

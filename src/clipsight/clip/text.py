"""CLIP's text transformer (Radford et al. 2021, section 2.4; GPT-2's, Radford et al. 2019)."""

import torch
from torch import Tensor, nn

from clipsight.clip.architecture import TextConfig
from clipsight.clip.transformer import ResidualBlock, Transformer


class TextTransformer(nn.Module):
    """Causal transformer over tokens; the embedding is the projected output at the end-of-text token."""

    def __init__(self, config: TextConfig, embed_dim: int, *, quick_gelu: bool = False) -> None:
        """Build the tower with random weights, as in the paper's code."""
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
        """Token ids int[batch,sequence], sequence <= context_length -> float[batch,embed_dim].

        The embedding is not of unit length. Padding after the end of a text has no influence, because
        attention is causal. If given, `attentions` receives the attention weights of each layer,
        float[batch,heads,query,key].
        """
        x = self.token_embedding(ids) + self.positional_embedding[: ids.shape[1]]
        x = self.transformer(x, attentions)
        x = x[torch.arange(ids.shape[0], device=ids.device), self.ends(ids)]
        embedding: Tensor = self.ln_final(x) @ self.text_projection
        return embedding

    def ends(self, ids: Tensor) -> Tensor:
        """Position of the first end-of-text token of each text: int[batch,sequence] -> int[batch]."""
        # argmax returns the first of several; end-of-text has CLIP's highest id, and may also pad the text.
        return (ids if self.eos_id is None else (ids == self.eos_id).int()).argmax(dim=-1)

    def _initialise(self, width: int, layers: int) -> None:
        """Initialise as GPT-2 and the paper do: projections onto the residual stream are scaled by depth."""
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)
        residual_std = width**-0.5 * (2 * layers) ** -0.5
        for block in self.transformer.resblocks:
            assert isinstance(block, ResidualBlock)
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=residual_std)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=residual_std)

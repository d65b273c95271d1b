"""CLIP (Radford et al. 2021, arXiv:2103.00020): an image tower and a text tower with one embedding space."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clipsight.clip.architecture import Architecture
from clipsight.clip.resnet import ModifiedResNet
from clipsight.clip.text import TextTransformer
from clipsight.clip.transformer import Transformer
from clipsight.clip.vit import VisionTransformer


class CLIP(nn.Module):
    """Both towers and the learned logit scale (figure 3); embeddings have unit length.

    State dict keys are those of OpenCLIP's `CustomTextCLIP`: `visual.*`, `text.*` and `logit_scale`.
    """

    def __init__(self, architecture: Architecture) -> None:
        """Build the towers with the paper's random initialisation."""
        super().__init__()
        self.architecture = architecture
        embed_dim, quick_gelu = architecture.embed_dim, architecture.quick_gelu
        self.visual: VisionTransformer | ModifiedResNet
        if architecture.vision_cfg.patch_size is None:
            self.visual = ModifiedResNet(architecture.vision_cfg, embed_dim)
        else:
            self.visual = VisionTransformer(architecture.vision_cfg, embed_dim, quick_gelu=quick_gelu)
        self.text = TextTransformer(architecture.text_cfg, embed_dim, quick_gelu=quick_gelu)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, images: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs of the loss: image embeddings, text embeddings, logit scale.

        Normalised float[batch,3,image_size,image_size] and token ids int[batch,sequence] -> unit
        float[batch,embed_dim], unit float[batch,embed_dim], and the factor of their cosines, a scalar.
        """
        return self.encode_image(images), self.encode_text(ids), self.logit_scale.exp()

    def encode_image(self, images: Tensor, attentions: list[Tensor] | None = None) -> Tensor:
        """Normalised float[batch,3,image_size,image_size] -> unit float[batch,embed_dim].

        If given, `attentions` receives the attention weights of each layer (see the towers).
        """
        return F.normalize(self.visual(images, attentions), dim=-1)

    def encode_text(self, ids: Tensor, attentions: list[Tensor] | None = None) -> Tensor:
        """Token ids int[batch,sequence] -> unit float[batch,embed_dim]; `attentions` as in `encode_image`."""
        return F.normalize(self.text(ids, attentions), dim=-1)

    def logits(self, images: Tensor, ids: Tensor) -> Tensor:
        """Scaled cosines of every image with every text, float[images,texts]; arguments as in `forward`."""
        image, text, scale = self(images, ids)
        logits: Tensor = scale * image @ text.T
        return logits

    def set_activation_checkpointing(self, enabled: bool) -> None:
        """Trade time for memory in training: see `Transformer`; a ResNet's activations are always kept."""
        for module in self.modules():
            if isinstance(module, Transformer):
                module.checkpointing = enabled

"""CLIP (Radford et al. 2021, arXiv:2103.00020): an image tower and a text tower into one space.

`create` builds any published architecture, with the paper's random start or with published weights.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clipsight.clip import pretrained as published
from clipsight.clip.architecture import Architecture
from clipsight.clip.architecture import list_architectures as list_architectures
from clipsight.clip.checkpoint import Checkpoint
from clipsight.clip.resnet import ModifiedResNet
from clipsight.clip.text import TextTransformer
from clipsight.clip.transformer import Transformer
from clipsight.clip.vit import VisionTransformer


def create(name: str | Path | None = None, pretrained: str | Path | None = None) -> "CLIP":
    """Build a CLIP model in evaluation mode, float32, on the CPU.

    `name` is one of `list_architectures()`, OpenAI's spelling ("ViT-B/32") or a JSON file. `pretrained` is a
    checkpoint (see `checkpoint`), a folder with one, or a model of the hub (see `published`), whose position
    embeddings are interpolated where the image sizes differ; then `name` may be left out. Raises ModelError
    for an unknown name, CheckpointError for weights of another architecture.
    """
    architecture = None if name is None else Architecture.named(name)
    if pretrained is None:
        if architecture is None:
            raise TypeError("create() needs a name, or pretrained weights that tell it")
        return CLIP(architecture).eval()
    checkpoint = Checkpoint.read(published.locate(pretrained))
    architecture = architecture or checkpoint.architecture()
    with torch.device("meta"):  # no random start, for all is overwritten
        model = CLIP(architecture)
    model.load_state_dict(checkpoint.state_for(model), assign=True)
    return model.eval()


class CLIP(nn.Module):
    """Both towers and the learned temperature of figure 3; embeddings have unit length.

    Its state dict has the names of OpenCLIP's `CustomTextCLIP`: `visual.*`, `text.*` and `logit_scale`.
    """

    def __init__(self, architecture: Architecture) -> None:
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
        """What the loss needs: image embeddings, text embeddings, and the factor of their cosines."""
        return self.encode_image(images), self.encode_text(ids), self.logit_scale.exp()

    def encode_image(self, images: Tensor, attentions: list[Tensor] | None = None) -> Tensor:
        """float[batch,3,image_size,image_size], normalised -> unit float[batch,embed_dim].

        Where given, `attentions` receives each layer's weights (see the towers).
        """
        return F.normalize(self.visual(images, attentions), dim=-1)

    def encode_text(self, ids: Tensor, attentions: list[Tensor] | None = None) -> Tensor:
        """Token ids int[batch,sequence] -> unit float[batch,embed_dim]; `attentions` as in `encode_image`."""
        return F.normalize(self.text(ids, attentions), dim=-1)

    def logits(self, images: Tensor, ids: Tensor) -> Tensor:
        """Scaled cosines of every image with every text: float[images,texts]."""
        image, text, scale = self(images, ids)
        logits: Tensor = scale * image @ text.T
        return logits

    def set_activation_checkpointing(self, enabled: bool) -> None:
        """Trade time for memory in training: see `Transformer`; a ResNet's activations are always kept."""
        for module in self.modules():
            if isinstance(module, Transformer):
                module.checkpointing = enabled

"""Models by name: any published architecture, with random or published weights."""

from pathlib import Path

import torch

from clipsight.clip.architecture import Architecture
from clipsight.clip.architecture import list_architectures as list_architectures
from clipsight.clip.checkpoint import Checkpoint
from clipsight.clip.model import CLIP
from clipsight.clip.pretrained import locate


def create(name: str | Path | None = None, pretrained: str | Path | None = None) -> CLIP:
    """Build a CLIP model in evaluation mode, float32, on the CPU.

    Args:
        name: One of `list_architectures()`, OpenAI's spelling ("ViT-B/32") or a JSON file; may be left
            out if the architecture can be inferred from the weights.
        pretrained: Checkpoint file, folder with one, or model of the hub (see `pretrained.locate`); None for
            the paper's random initialisation. Position embeddings are interpolated if the image sizes differ.

    Raises:
        ModelError: The name is unknown.
        CheckpointError: The weights can't be read, or are of another architecture.
    """
    architecture = None if name is None else Architecture.named(name)
    if pretrained is None:
        if architecture is None:
            raise TypeError("create() needs a name, or pretrained weights that tell it")
        return CLIP(architecture).eval()
    checkpoint = Checkpoint.read(locate(pretrained))
    architecture = architecture or checkpoint.architecture()
    with torch.device("meta"):  # skips the random initialisation: all weights are replaced
        model = CLIP(architecture)
    model.load_state_dict(checkpoint.state_for(model), assign=True)
    return model.eval()

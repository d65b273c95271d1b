"""Our CLIP against OpenCLIP's and transformers' modules; run by hand, for CI has no open_clip.

    python tests/clip/parity.py golden           writes tests/golden/openclip.json, which the tests read
    python tests/clip/parity.py compare [NAME]   prints the largest differences, of full-size models

OpenCLIP needs torchvision only to prepare pictures and for one class, so a stand-in is enough here:
`pip install --no-deps open_clip_torch ftfy wcwidth` beside torch.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clipsight.clip.architecture import Architecture
from clipsight.clip.checkpoint import save
from clipsight.clip.model import CLIP
from tests.support.clip_weights import TINY_RESNET, TINY_VIT, fill, ids, images, positions

GOLDEN = Path(__file__).parents[1] / "golden" / "openclip.json"
OURS_AND_OPENAIS = (
    *("RN50-quickgelu", "RN101-quickgelu", "RN50x4-quickgelu", "RN50x16-quickgelu", "RN50x64-quickgelu"),
    *("ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px", "ViT-H-14"),
)

_OUTPUTS = ("image", "text", "logits")


def openclip(architecture: Architecture) -> nn.Module:
    """OpenCLIP's model of this architecture."""
    import transformers  # before the stand-in, which it would take for torchvision itself

    assert not transformers.utils.is_torchvision_available()  # type: ignore[attr-defined]
    for part in ("", ".transforms", ".transforms.functional", ".ops", ".ops.misc"):
        sys.modules.setdefault(f"torchvision{part}", _StandIn(f"torchvision{part}"))
    from open_clip.model import CLIP as OpenClip  # type: ignore[import-not-found]

    config = architecture.to_dict()
    built: nn.Module = OpenClip(
        config["embed_dim"], config["vision_cfg"], config["text_cfg"], quick_gelu=architecture.quick_gelu
    )
    return built.eval()


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock()


@torch.no_grad()
def golden() -> dict[str, Any]:
    """OpenCLIP's outputs of the tiny models, and position embeddings it has resized."""
    found: dict[str, Any] = {}
    for name, architecture in {"vit": TINY_VIT, "resnet": TINY_RESNET}.items():
        model = openclip(architecture)
        fill(model)
        image, text = model.encode_image(images(architecture)), model.encode_text(ids(architecture))  # type: ignore[operator]
        logits = model.logit_scale.exp() * F.normalize(image) @ F.normalize(text).T  # type: ignore[operator]
        outputs = zip(_OUTPUTS, (image, text, logits), strict=True)
        found[name] = {what: value.tolist() for what, value in outputs}
    from open_clip.model import resize_pos_embed

    found["positions"] = {}
    for grid in (3, 7):
        larger = replace(TINY_VIT.vision_cfg, image_size=8 * grid)
        state = openclip(TINY_VIT).state_dict() | {"visual.positional_embedding": positions()}
        resize_pos_embed(state, openclip(replace(TINY_VIT, vision_cfg=larger)))
        found["positions"][str(grid)] = state["visual.positional_embedding"].tolist()
    return found


@torch.no_grad()
def compare(name: str) -> None:
    """Print the largest differences of image and text embeddings and of logits."""
    architecture = Architecture.named(name)
    ours = CLIP(architecture).eval()
    fill(ours)
    pixels, tokens = images(architecture, 2), ids(architecture, 3)
    mine = _outputs(ours, pixels, tokens)
    peer = openclip(architecture)
    peer.load_state_dict({key.removeprefix("text."): value for key, value in ours.state_dict().items()})
    _print(name, "OpenCLIP", mine, _outputs(peer, pixels, tokens))
    del peer
    if architecture.vision_cfg.patch_size:
        from transformers import CLIPModel

        with TemporaryDirectory() as folder:
            save(ours, Path(folder), "huggingface")
            theirs = CLIPModel.from_pretrained(folder)  # in evaluation mode
        image = theirs.get_image_features(pixels).pooler_output
        text = theirs.get_text_features(tokens).pooler_output
        logits = theirs(input_ids=tokens, pixel_values=pixels).logits_per_image
        _print(name, "transformers", mine, (F.normalize(image), F.normalize(text), logits))


def _outputs(model: nn.Module, pixels: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    image, text = F.normalize(model.encode_image(pixels)), F.normalize(model.encode_text(tokens))  # type: ignore[operator]
    return image, text, model.logit_scale.exp() * image @ text.T  # type: ignore[operator]


def _print(name: str, peer: str, mine: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> None:
    worst = [float((a - b).abs().max()) for a, b in zip(mine, theirs, strict=True)]
    told = ", ".join(f"{what} {value:.1e}" for what, value in zip(_OUTPUTS, worst, strict=True))
    print(f"{name:20} against {peer:12}: {told}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "golden":
        GOLDEN.write_text(json.dumps(golden(), indent=1) + "\n")
    else:
        for each in sys.argv[2:] or OURS_AND_OPENAIS:
            compare(each)

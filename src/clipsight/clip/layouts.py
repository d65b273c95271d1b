"""State dict layouts of published CLIP checkpoints, converted to our keys and back.

Our keys are those of OpenCLIP's `CustomTextCLIP`: `visual.*`, `text.*`, `logit_scale`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """Naming scheme of a state dict, recognised by keys that start with `marker`."""

    name: str
    marker: str
    to_ours: Callable[[Mapping[str, Tensor]], State]
    from_ours: Callable[[Mapping[str, Tensor]], State]


def detect_layout(names: Iterable[str]) -> Layout | None:
    """Layout of a state dict with these keys; None if it is not CLIP's."""
    names = list(names)
    layouts = (HUGGING_FACE, OURS, OPENAI)
    return next((each for each in layouts if any(name.startswith(each.marker) for name in names)), None)


def _to_openai(state: Mapping[str, Tensor]) -> State:
    return {name.removeprefix("text."): tensor for name, tensor in state.items()}


def _from_openai(state: Mapping[str, Tensor]) -> State:
    def named(name: str) -> str:
        return name if name.startswith("visual.") or name == "logit_scale" else f"text.{name}"

    return {named(name): tensor for name, tensor in state.items()}


# Our keys and those of Hugging Face's `CLIPModel`: prefixes, then infixes.
_PREFIXES = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.": "vision_model.pre_layrnorm.",
    "visual.transformer.resblocks.": "vision_model.encoder.layers.",
    "visual.ln_post.": "vision_model.post_layernorm.",
    "visual.proj": "visual_projection.weight",
    "text.token_embedding.": "text_model.embeddings.token_embedding.",
    "text.positional_embedding": "text_model.embeddings.position_embedding.weight",
    "text.transformer.resblocks.": "text_model.encoder.layers.",
    "text.ln_final.": "text_model.final_layer_norm.",
    "text.text_projection": "text_projection.weight",
}
_INFIXES = {
    ".ln_1.": ".layer_norm1.",
    ".attn.out_proj.": ".self_attn.out_proj.",
    ".ln_2.": ".layer_norm2.",
    ".mlp.c_fc.": ".mlp.fc1.",
    ".mlp.c_proj.": ".mlp.fc2.",
}
_PROJECTIONS = ("visual.proj", "text.text_projection")
_QKV = re.compile(r"\.self_attn\.([qkv])_proj\.(weight|bias)$")


def _to_hugging_face(state: Mapping[str, Tensor]) -> State:
    theirs: State = {}
    for name, tensor in state.items():
        renamed = _renamed(name, _PREFIXES, _INFIXES)
        if name in _PROJECTIONS:
            theirs[renamed] = tensor.T
        elif ".attn.in_proj_" in name:
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                theirs[renamed.replace(".attn.in_proj_", f".self_attn.{part}_proj.")] = rows
        else:
            theirs[renamed] = tensor
    return theirs


def _from_hugging_face(state: Mapping[str, Tensor]) -> State:
    prefixes = {theirs: ours for ours, theirs in _PREFIXES.items()}
    infixes = {theirs: ours for ours, theirs in _INFIXES.items()}
    ours: State = {}
    stacked: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        renamed = _renamed(name, prefixes, infixes)
        if match := _QKV.search(renamed):
            target = f"{renamed[: match.start()]}.attn.in_proj_{match[2]}"
            stacked.setdefault(target, {})[match[1]] = tensor
        else:
            ours[renamed] = tensor.T if renamed in _PROJECTIONS else tensor
    for name, parts in stacked.items():
        ours[name] = torch.cat([parts[part] for part in "qkv" if part in parts])
    return ours


def _renamed(name: str, prefixes: Mapping[str, str], infixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            name = new + name.removeprefix(old)
            break
    for old, new in infixes.items():
        name = name.replace(old, new)
    return name


OURS = Layout("OpenCLIP's CustomTextCLIP", "text.", dict, dict)
OPENAI = Layout("OpenAI's and OpenCLIP's CLIP", "visual.", _from_openai, _to_openai)
HUGGING_FACE = Layout("Hugging Face's CLIPModel", "vision_model.", _from_hugging_face, _to_hugging_face)

"""Conversion between Hugging Face's `config.json` of a `CLIPModel` and our architecture."""

from typing import Any

from clipsight.clip.architecture import Architecture, TextConfig, VisionConfig, mlp_ratio
from clipsight.core.errors import ModelError

_ACTIVATIONS = {"quick_gelu": True, "gelu": False}
# eos_token_id for which transformers pools at the highest token id of each text (its pull request 24773).
_ARGMAX_EOS = 2


def from_huggingface(config: Any, source: str) -> Architecture:
    """Architecture of a `config.json`, named `source` in errors; missing fields have transformers' defaults.

    Raises ModelError for another type of model, or an architecture that is not supported.
    """
    if not isinstance(config, dict) or config.get("model_type") != "clip":
        kind = config.get("model_type") if isinstance(config, dict) else None
        raise ModelError(f"{source} describes a model of type {kind!r}, not CLIP's own 'clip'")
    vision, text = config.get("vision_config") or {}, config.get("text_config") or {}
    acts = {tower.get("hidden_act", "quick_gelu") for tower in (vision, text)}
    if len(acts) != 1 or not acts <= _ACTIVATIONS.keys():
        raise ModelError(f"{source} has hidden_act {' and '.join(sorted(acts))}, not quick_gelu or gelu")
    if any(tower.get("layer_norm_eps", 1e-5) != 1e-5 for tower in (vision, text)):
        raise ModelError(f"{source} has a layer_norm_eps that is not 1e-5, which clipsight does not build")
    try:
        found = Architecture(
            config.get("projection_dim", 512), _vision(vision), _text(text), _ACTIVATIONS[acts.pop()]
        )
    except (TypeError, ArithmeticError) as error:
        raise ModelError(f"{source} can't be understood ({error})") from error
    if problem := found.problem():
        raise ModelError(f"the architecture in {source} can't be built: {problem}")
    return found


def _vision(config: dict[str, Any]) -> VisionConfig:
    width = config.get("hidden_size", 768)
    return VisionConfig(
        image_size=config.get("image_size", 224),
        layers=config.get("num_hidden_layers", 12),
        width=width,
        patch_size=config.get("patch_size", 32),
        head_width=width // config.get("num_attention_heads", 12),
        mlp_ratio=mlp_ratio(config.get("intermediate_size", 3072), width),
    )


def _text(config: dict[str, Any]) -> TextConfig:
    width = config.get("hidden_size", 512)
    vocabulary, end = config.get("vocab_size", 49408), config.get("eos_token_id", 49407)
    highest = end in (_ARGMAX_EOS, vocabulary - 1)
    return TextConfig(
        context_length=config.get("max_position_embeddings", 77),
        vocab_size=vocabulary,
        width=width,
        heads=config.get("num_attention_heads", 8),
        layers=config.get("num_hidden_layers", 12),
        mlp_ratio=mlp_ratio(config.get("intermediate_size", 2048), width),
        pool_type="argmax" if highest else "eos",
        eos_id=None if highest else end,
    )


def to_huggingface(architecture: Architecture) -> dict[str, Any]:
    """`config.json` of an architecture with a ViT."""
    vision, text = architecture.vision_cfg, architecture.text_cfg
    shared = {
        "projection_dim": architecture.embed_dim,
        "hidden_act": "quick_gelu" if architecture.quick_gelu else "gelu",
        "layer_norm_eps": 1e-5,
    }
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": architecture.embed_dim,
        "text_config": {
            **shared,
            "model_type": "clip_text_model",
            "hidden_size": text.width,
            "intermediate_size": int(text.width * text.mlp_ratio),
            "max_position_embeddings": text.context_length,
            "num_attention_heads": text.heads,
            "num_hidden_layers": text.layers,
            "vocab_size": text.vocab_size,
            "eos_token_id": _ARGMAX_EOS if text.eos_id is None else text.eos_id,
        },
        "vision_config": {
            **shared,
            "model_type": "clip_vision_model",
            "hidden_size": vision.width,
            "image_size": vision.image_size,
            "intermediate_size": int(vision.width * vision.mlp_ratio),
            "num_attention_heads": vision.heads,
            "num_hidden_layers": vision.layers,
            "patch_size": vision.patch_size,
        },
    }

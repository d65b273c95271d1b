"""Architectures: every name people use, the exact sizes of the published ones, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from clipsight.clip.architecture import Architecture, list_architectures, mlp_ratio
from clipsight.clip.model import CLIP
from clipsight.core.errors import ModelError

pytestmark = pytest.mark.torch

SMALL = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 20, "width": 64, "heads": 1, "layers": 1},
}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # issue 4, from OpenAI's models
        ("RN50", 102_007_137),
        ("RN101", 119_688_033),
        ("RN50x4", 178_300_601),
        ("RN50x16", 290_979_217),
        ("RN50x64", 623_258_305),
        ("ViT-B/32", 151_277_313),
        ("ViT-B/16", 149_620_737),
        ("ViT-L/14", 427_616_513),
        ("ViT-L/14@336px", 427_944_193),
        # OpenCLIP's own, from its docs/model_profile.csv, where they are given in millions
        ("ViT-H-14", 986_109_441),
        ("ViT-g-14", 1_366_678_273),
        ("ViT-bigG-14", 2_539_567_105),
    ],
)
def test_a_published_model_has_exactly_its_parameters(name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = CLIP(Architecture.named(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_every_listed_architecture_has_its_name_and_a_quickgelu_twin() -> None:
    names = list_architectures()
    assert {"ViT-B-32", "ViT-B-32-quickgelu", "RN50", "ViT-tiny-8", "RN-tiny"} <= set(names)
    for name in names:
        assert Architecture.named(name).quick_gelu == name.endswith("-quickgelu")


def test_openai_names_imply_quickgelu() -> None:
    assert Architecture.named("ViT-L/14@336px") == Architecture.named("ViT-L-14-336-quickgelu")
    assert Architecture.named("ViT-B/32") == replace(Architecture.named("ViT-B-32"), quick_gelu=True)


def test_an_unknown_name_is_an_error_with_similar_names() -> None:
    with pytest.raises(ModelError, match=r"'ViT-B-23'; did you mean ViT-B-32") as caught:
        Architecture.named("ViT-B-23")
    assert "\n" not in str(caught.value)


def test_a_json_file_round_trips(tmp_path: Path) -> None:
    architecture = Architecture.from_dict(SMALL, "small")
    file = tmp_path / "small.json"
    file.write_text(json.dumps({"model_cfg": architecture.to_dict(), "preprocess_cfg": {}}))
    assert Architecture.named(file) == architecture


@pytest.mark.parametrize("name", list_architectures())
def test_every_architecture_round_trips(name: str) -> None:
    architecture = Architecture.named(name)
    assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict())), name) == architecture


def _with(section: str, **fields: Any) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(SMALL))
    (changed[section] if section else changed).update(fields)
    return changed


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ([], "not a JSON object"),
        (_with("", vision_cfg=None), "not a JSON object"),
        ({"embed_dim": 8, "vision_cfg": {}}, "incomplete"),
        (_with("vision_cfg", timm_model_name="vit"), "vision_cfg has timm_model_name = 'vit'"),
        (_with("text_cfg", hf_model_name="roberta"), "text_cfg has hf_model_name = 'roberta'"),
        (_with("", custom_text=True), "custom_text = True"),
        (_with("", embed_dim=0), "a size is not"),
        (_with("text_cfg", layers=1.5), "a size is not"),
        (_with("vision_cfg", width="64"), "a size is not"),
        (_with("vision_cfg", layers=[1, 2]), "a list of four layers"),
        (_with("vision_cfg", layers=[1, 1, 1, 1]), "a list of four layers"),
        (_with("vision_cfg", patch_size=None), "a list of four layers"),
        (_with("vision_cfg", patch_size=-16), "a size is not"),
        (_with("vision_cfg", patch_size=64), "smaller than a patch"),
        (_with("vision_cfg", head_width=48), "no multiple of head_width 48"),
        (_with("vision_cfg", mlp_ratio="four"), "mlp_ratio"),
        (_with("text_cfg", mlp_ratio=-1), "mlp_ratio"),
        (_with("text_cfg", heads=3), "no multiple of heads 3"),
        (_with("text_cfg", pool_type="last"), "pool_type"),
        (_with("text_cfg", pool_type="eos"), "eos_id"),
    ],
)
def test_unsupported_configs_are_refused_by_field(config: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        Architecture.from_dict(config, "x.json")
    assert "x.json" in str(caught.value)


def test_fields_that_disable_a_feature_are_ignored() -> None:
    config = _with("vision_cfg", ls_init_value=None, patch_dropout=0.0, no_ln_pre=False)
    assert Architecture.from_dict(config, "x") == Architecture.from_dict(SMALL, "x")


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"\xff\xfe"])
def test_a_file_that_is_not_json_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_bytes(content)
    with pytest.raises(ModelError, match="is not JSON"):
        Architecture.named(file)


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.json can't be read"):
        Architecture.named(tmp_path / "nowhere.json")


def test_the_mlp_ratio_reproduces_any_width() -> None:
    for width in range(8, 2000, 24):
        for hidden in range(width, 5 * width, 40):
            assert int(width * mlp_ratio(hidden, width)) == hidden

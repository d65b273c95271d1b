"""Checkpoints of OpenAI, OpenCLIP and Hugging Face: round trips, other sizes, errors of invalid ones."""

import json
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from clipsight.clip.architecture import Architecture, list_architectures
from clipsight.clip.architecture_inference import infer_architecture
from clipsight.clip.checkpoint import Checkpoint, Format, resize_positions, save
from clipsight.clip.factory import create
from clipsight.clip.layouts import HUGGING_FACE, OPENAI
from clipsight.clip.model import CLIP
from clipsight.core.errors import CheckpointError
from tests.support.clip_weights import TINY_RESNET, TINY_VIT, fill, ids, images, positions

pytestmark = pytest.mark.torch

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "openclip.json").read_text())
FORMATS: dict[Format, str] = {"openai": "model.pt", "openclip": "folder", "huggingface": "folder"}
# OpenAI's format needs heads of 64 and MLPs of 4.
OPENAI_VIT = replace(
    TINY_VIT,
    vision_cfg=replace(TINY_VIT.vision_cfg, width=128, head_width=64, mlp_ratio=4.0),
    text_cfg=replace(TINY_VIT.text_cfg, width=128, heads=2),
)
OPENAI_RESNET = replace(
    TINY_RESNET,
    vision_cfg=replace(TINY_RESNET.vision_cfg, head_width=64),
    text_cfg=OPENAI_VIT.text_cfg,
    quick_gelu=True,
)


def _model(architecture: Architecture = TINY_VIT) -> CLIP:
    model = CLIP(architecture).eval()
    fill(model)
    return model


def _same(one: CLIP, other: CLIP) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def _saved(tmp_path: Path, model: CLIP, format: Format) -> Path:
    path = tmp_path / FORMATS[format]
    save(model, path, format)
    return path


@pytest.mark.parametrize("format", FORMATS)
def test_a_vit_round_trips_without_naming_its_architecture(format: Format, tmp_path: Path) -> None:
    model = _model(OPENAI_VIT)
    loaded = create(pretrained=_saved(tmp_path, model, format))
    assert loaded.architecture == model.architecture
    assert _same(loaded, model)
    pixels, tokens = images(OPENAI_VIT), ids(OPENAI_VIT)
    torch.testing.assert_close(loaded.logits(pixels, tokens), model.logits(pixels, tokens))


@pytest.mark.parametrize("format", ["openai", "openclip"])
def test_a_resnet_round_trips_without_naming_its_architecture(format: Format, tmp_path: Path) -> None:
    model = _model(OPENAI_RESNET)
    loaded = create(pretrained=_saved(tmp_path, model, format))
    assert loaded.architecture == model.architecture
    assert _same(loaded, model)


@pytest.mark.parametrize("format", ["openclip", "huggingface"])
def test_settings_that_shapes_do_not_show_are_in_the_config(format: Format, tmp_path: Path) -> None:
    text = replace(TINY_VIT.text_cfg, pool_type="eos", eos_id=7)
    architecture = replace(TINY_VIT, text_cfg=text, quick_gelu=False)
    loaded = create(pretrained=_saved(tmp_path, _model(architecture), format))
    assert loaded.architecture == architecture


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_but_the_finished_files_is_left(format: Format, tmp_path: Path) -> None:
    path = _saved(tmp_path, _model(OPENAI_VIT), format)
    written = {
        "openai": {"model.pt"},
        "openclip": {"open_clip_model.safetensors", "open_clip_config.json"},
        "huggingface": {"model.safetensors", "config.json"},
    }
    assert {file.name for file in (tmp_path if format == "openai" else path).iterdir()} == written[format]


def test_saving_over_the_file_that_a_model_was_loaded_from(tmp_path: Path) -> None:
    path = _saved(tmp_path, _model(), "openclip")
    loaded = create(pretrained=path)
    with torch.no_grad():
        loaded.logit_scale.fill_(1.5)
    save(loaded, path, "openclip")
    assert _same(create(pretrained=path), loaded)


@pytest.mark.parametrize(
    ("architecture", "format", "why"),
    [
        (replace(OPENAI_VIT, quick_gelu=False), "openai", "trained with GELU"),
        (TINY_VIT, "openai", "heads are not 64 wide"),
        (replace(OPENAI_VIT, vision_cfg=replace(OPENAI_VIT.vision_cfg, mlp_ratio=3)), "openai", "MLPs"),
        (
            replace(OPENAI_VIT, text_cfg=replace(OPENAI_VIT.text_cfg, pool_type="eos", eos_id=2)),
            "openai",
            "end of text",
        ),
        (TINY_RESNET, "huggingface", "is a ResNet"),
    ],
)
def test_a_format_that_would_change_the_model_is_refused(
    architecture: Architecture, format: Format, why: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=why):
        save(_model(architecture), tmp_path / "x", format)
    assert not (tmp_path / "x").exists()


def test_an_unwritable_folder_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"file.* can't be written"):
        save(_model(), tmp_path / "file" / "model", "openclip")


@pytest.mark.parametrize("format", FORMATS)
def test_a_disk_that_fills_up_leaves_the_old_file_and_nothing_else(format: Format, tmp_path: Path) -> None:
    """No file may be written above 20 kB."""
    path = _saved(tmp_path, _model(OPENAI_VIT), format)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    model, limits = create(pretrained=path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="can't be written"):
            save(model, path, format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


# Files as others write them.


def _flat(model: CLIP) -> dict[str, Tensor]:
    return OPENAI.from_ours(model.state_dict())


def _plain_bin(model: CLIP, path: Path) -> None:
    torch.save(_flat(model), path)


def _old_pickle(model: CLIP, path: Path) -> None:
    torch.save(_flat(model), path, _use_new_zipfile_serialization=False)


def _training_checkpoint(model: CLIP, path: Path) -> None:
    """As OpenCLIP's training writes it, with DistributedDataParallel."""
    state = {f"module.{name}": tensor for name, tensor in _flat(model).items()}
    moments = {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(4)}}
    optimizer = {"state": moments, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.98), "params": [0]}]}
    torch.save({"epoch": 3, "name": "run", "state_dict": state, "optimizer": optimizer}, path)


def _own_names(model: CLIP, path: Path) -> None:
    """As OpenCLIP's CustomTextCLIP, and our own state dict."""
    torch.save(model.state_dict(), path)


def _safetensors(model: CLIP, path: Path) -> None:
    save_file(_flat(model), path)


def _old_openclip(model: CLIP, path: Path) -> None:
    """With a constant that is no weight, and the temperature as a vector."""
    state = _flat(model)
    state["attn_mask"] = torch.zeros(12, 12)
    state["logit_scale"] = state["logit_scale"].reshape(1)
    torch.save(state, path)


def _old_hugging_face(model: CLIP, path: Path) -> None:
    state = HUGGING_FACE.from_ours(model.state_dict())
    for side in ("text_model", "vision_model"):
        state[f"{side}.embeddings.position_ids"] = torch.arange(12)[None]
    torch.save(state, path)


WRITERS = [
    *(_plain_bin, _old_pickle, _training_checkpoint, _own_names, _safetensors),
    *(_old_openclip, _old_hugging_face),
]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_formats_are_detected_by_tensors_not_by_file_names(
    write: Callable[[CLIP, Path], None], tmp_path: Path
) -> None:
    model, file = _model(), tmp_path / "weights"
    write(model, file)
    file_of_sizes = tmp_path / "arch.json"
    file_of_sizes.write_text(json.dumps(TINY_VIT.to_dict()))
    assert _same(create(file_of_sizes, file), model)


def test_half_precision_weights_are_loaded_as_float32(tmp_path: Path) -> None:
    model, file = _model(), tmp_path / "half.pt"
    torch.save({name: tensor.half() for name, tensor in _flat(model).items()}, file)
    loaded = Checkpoint.read(file).state_for(model)
    for name, tensor in model.state_dict().items():
        assert loaded[name].dtype == torch.float32
        assert torch.equal(loaded[name], tensor.half().float())


def test_files_are_interchangeable_with_transformers(tmp_path: Path) -> None:
    from transformers import CLIPModel

    model = _model()
    theirs = CLIPModel.from_pretrained(_saved(tmp_path, model, "huggingface"))
    theirs.save_pretrained(tmp_path / "theirs")
    assert _same(create(pretrained=tmp_path / "theirs"), model)


# Sizes.


@pytest.mark.parametrize("grid", [3, 7])
def test_position_embeddings_are_resized_as_in_openclip(grid: int) -> None:
    expected = torch.tensor(GOLDEN["positions"][str(grid)])
    assert torch.allclose(resize_positions(positions(), grid), expected, atol=1e-6)


def test_position_embeddings_of_equal_size_or_not_square_are_unchanged() -> None:
    assert torch.equal(resize_positions(positions(), 4), positions())
    odd = torch.ones(18, 3)
    assert resize_positions(odd, 4) is odd


@pytest.mark.parametrize("format", ["openclip", "huggingface"])
def test_another_image_size_changes_only_the_position_embeddings(format: Format, tmp_path: Path) -> None:
    model = _model()
    larger = replace(TINY_VIT, vision_cfg=replace(TINY_VIT.vision_cfg, image_size=48))
    file = tmp_path / "larger.json"
    file.write_text(json.dumps(larger.to_dict()))
    loaded = create(file, _saved(tmp_path, model, format))
    for name, tensor in model.state_dict().items():
        expected = resize_positions(tensor, 6) if name == "visual.positional_embedding" else tensor
        assert torch.equal(loaded.state_dict()[name], expected), name
    assert loaded.encode_image(images(larger)).shape == (3, 24)


def test_another_image_size_of_a_resnet(tmp_path: Path) -> None:
    model = _model(TINY_RESNET)
    larger = replace(TINY_RESNET, vision_cfg=replace(TINY_RESNET.vision_cfg, image_size=96))
    file = tmp_path / "larger.json"
    file.write_text(json.dumps(larger.to_dict()))
    loaded = create(file, _saved(tmp_path, model, "openclip"))
    name = "visual.attnpool.positional_embedding"
    assert torch.equal(loaded.state_dict()[name], resize_positions(model.state_dict()[name], 3))
    assert loaded.encode_image(images(larger)).shape == (3, 24)


@pytest.mark.parametrize("name", [name for name in list_architectures() if not name.endswith("-quickgelu")])
def test_every_published_architecture_is_detected_by_its_shapes(name: str) -> None:
    with torch.device("meta"):
        state = CLIP(Architecture.named(name)).state_dict()
    told, known = infer_architecture(state, Path(name)), Architecture.named(name)
    ratio = pytest.approx(known.vision_cfg.mlp_ratio, abs=1e-4)
    assert told.vision_cfg.mlp_ratio == ratio
    vision = replace(told.vision_cfg, mlp_ratio=known.vision_cfg.mlp_ratio)
    assert replace(told, vision_cfg=vision) == known


# What is wrong is named.


def _refused(path: Path, architecture: Architecture = TINY_VIT) -> str:
    with torch.device("meta"):
        model = CLIP(architecture)
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.read(path).state_for(model)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


@pytest.mark.parametrize(
    ("write", "of_text", "of_image"),
    [
        (_plain_bin, "transformer.resblocks.1.ln_2.bias", "visual.proj"),
        (_own_names, "text.transformer.resblocks.1.ln_2.bias", "visual.proj"),
        (_old_hugging_face, "text_model.encoder.layers.1.self_attn.k_proj.bias", "visual_projection.weight"),
    ],
)
def test_errors_name_missing_extra_and_misshaped_tensors_as_in_the_file(
    write: Callable[[CLIP, Path], None], of_text: str, of_image: str, tmp_path: Path
) -> None:
    file = tmp_path / "weights.pt"
    write(_model(), file)
    state = torch.load(file, weights_only=True)
    del state[of_text]
    state[of_image] = torch.zeros(3, 5)
    state["visual.surprise"] = torch.zeros(1)
    torch.save(state, file)
    message = _refused(file)
    assert f"1 missing ({of_text})" in message
    assert "1 extra (visual.surprise)" in message
    shape = "24x48" if write is _old_hugging_face else "48x24"
    assert f"1 of another shape ({of_image} is 3x5, not {shape})" in message


def test_many_differences_are_counted_and_some_named(tmp_path: Path) -> None:
    deeper = replace(TINY_VIT, text_cfg=replace(TINY_VIT.text_cfg, layers=4))
    file = tmp_path / "weights.pt"
    _plain_bin(_model(deeper), file)
    assert "24 extra (transformer.resblocks.2.ln_1.weight, " in _refused(file)
    assert "and 21 more" in _refused(file)


def test_a_fractional_image_size_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    state = _flat(_model())
    state["visual.positional_embedding"] = state["visual.positional_embedding"][:16]
    torch.save(state, file)
    assert "visual.positional_embedding is 16x48, not 17x48" in _refused(file)


def test_an_ambiguous_activation_must_be_given(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    _plain_bin(_model(OPENAI_VIT), file)
    with pytest.raises(CheckpointError, match="GELU or QuickGELU; name the architecture"):
        create(pretrained=file)


def test_openais_files_say_that_they_need_quickgelu(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    save(_model(OPENAI_VIT), file, "openai")
    message = _refused(file, replace(OPENAI_VIT, quick_gelu=False))
    assert "was trained with QuickGELU" in message and "add -quickgelu" in message


def test_another_number_of_heads_is_another_architecture(tmp_path: Path) -> None:
    path = _saved(tmp_path, _model(), "openclip")
    other = replace(TINY_VIT, vision_cfg=replace(TINY_VIT.vision_cfg, head_width=24))
    with pytest.raises(CheckpointError, match="3 attention heads for images and 2 for texts, not 2 and 2"):
        Checkpoint.read(path).state_for(CLIP(other))


def test_another_end_of_text_is_another_architecture(tmp_path: Path) -> None:
    path = _saved(tmp_path, _model(), "huggingface")
    other = replace(TINY_VIT, text_cfg=replace(TINY_VIT.text_cfg, pool_type="eos", eos_id=7))
    with pytest.raises(CheckpointError, match="ends at the highest id, not id 7"):
        Checkpoint.read(path).state_for(CLIP(other))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "siglip"}, "a model of type 'siglip'"),
        ({"vision_config": {"hidden_act": "gelu_new"}}, "hidden_act gelu_new and quick_gelu"),
        ({"text_config": {"layer_norm_eps": 1e-6}}, "layer_norm_eps"),
        ({"vision_config": {"num_attention_heads": 0}}, "can't be understood"),
        ({"vision_config": {"hidden_size": "wide"}}, "can't be understood"),
        ({"projection_dim": None}, "a size is not"),
    ],
)
def test_a_config_of_another_kind_of_model_is_refused(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = _saved(tmp_path, _model(), "huggingface")
    (path / "config.json").write_text(json.dumps({"model_type": "clip"} | change))
    with pytest.raises(CheckpointError, match=said):
        Checkpoint.read(path)


def test_the_sizes_of_a_config_that_leaves_them_out_are_those_of_transformers(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text('{"model_type": "clip"}')
    save_file({"vision_model.x": torch.zeros(1)}, path / "model.safetensors")
    assert Checkpoint.read(path).config == Architecture.named("ViT-B/32")


@pytest.mark.parametrize("content", [{}, {"weight": torch.zeros(2)}, {"siglip.visual": torch.zeros(2)}])
def test_other_models_are_not_mistaken_for_clip(content: dict[str, Tensor], tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file(content, file)
    with pytest.raises(CheckpointError, match="no CLIP checkpoint"):
        Checkpoint.read(file)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("text_projection", None),
        ("visual.conv1.weight", None),
        ("visual.conv1.weight", (3,)),
        ("positional_embedding", (0, 32)),
        ("visual.transformer.resblocks.0.mlp.c_fc.weight", None),
    ],
)
def test_a_missing_tensor_needed_to_detect_the_architecture_is_named(
    name: str, shape: tuple[int, ...] | None, tmp_path: Path
) -> None:
    file = tmp_path / "weights.pt"
    state = _flat(_model())
    del state[name]
    if shape is not None:
        state[name] = torch.zeros(shape)
    torch.save(state, file)
    with pytest.raises(CheckpointError, match=f"{name}.*can't be told"):
        create(pretrained=file)


def test_a_folder_without_weights_is_an_error_that_lists_their_names(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"open_clip_model\.safetensors"):
        Checkpoint.read(tmp_path)


def test_openclip_files_are_preferred_to_hugging_face_ones(tmp_path: Path) -> None:
    save(_model(), tmp_path, "huggingface")
    save(_model(TINY_RESNET), tmp_path, "openclip")
    assert Checkpoint.read(tmp_path).path.name == "open_clip_model.safetensors"


def test_every_tensor_of_the_file_is_read(tmp_path: Path) -> None:
    path = _saved(tmp_path, _model(), "huggingface")
    assert Checkpoint.read(path).tensors.keys() == load_file(path / "model.safetensors").keys()

"""From a checkpoint to a model folder: its embeddings agree with PyTorch, or nothing is written."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from clipsight.clip.architecture import Architecture
from clipsight.clip.checkpoint import save
from clipsight.clip.model import CLIP
from clipsight.core.errors import CheckpointError, ModelError
from clipsight.export import onnx_graph, onnx_towers, parity
from clipsight.export.export import export_model
from clipsight.export.onnx_graph import Precision, quantise
from clipsight.models.clip_bpe import clip_tokenizer
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from clipsight.models.preprocess import PreprocessConfig, normalise, resize_and_crop
from clipsight.models.tokenizer import Tokenizer
from tests.support.clip_weights import TINY_RESNET, TINY_VIT, fill
from tests.support.hub_server import HubServer, files_of
from tests.support.samples import SAMPLES

pytestmark = pytest.mark.torch

PHOTOS = list(SAMPLES.values())
TEXTS = ["a dog", "two dogs on a beach at sunset", "", "CAFÉ  & Crème brûlée", "so very " * 40]
TEXT = replace(TINY_VIT.text_cfg, context_length=16, vocab_size=49408)
VIT = replace(TINY_VIT, text_cfg=TEXT)
ARCHITECTURES = {
    "vit": VIT,
    "vit-gelu": replace(VIT, quick_gelu=False),
    "vit-eos": replace(VIT, text_cfg=replace(TEXT, pool_type="eos", eos_id=49407)),
    "resnet": replace(TINY_RESNET, text_cfg=TEXT),
}
LEAST: dict[Precision, float] = {"fp32": 0.9999999, "fp16": 0.9995, "int8": 0.99}

Vectors = NDArray[np.float32]


def make_model(architecture: Architecture = VIT) -> CLIP:
    model = CLIP(architecture).eval()
    fill(model)
    return model


@pytest.fixture(scope="module")
def model() -> CLIP:
    return make_model()


@pytest.fixture(scope="module")
def checkpoint(model: CLIP, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny ViT in OpenCLIP's format: a folder with weights and config."""
    folder = tmp_path_factory.mktemp("checkpoint") / "vit"
    save(model, folder, "openclip")
    return folder


@pytest.fixture(scope="module")
def folders(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Precision, Path]:
    """The tiny ViT exported in each precision; not to be changed."""
    root = tmp_path_factory.mktemp("exported")
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    return {each: export_model(checkpoint, root / each, PHOTOS, precision=each).folder for each in precisions}


@torch.inference_mode()
def from_torch(model: CLIP, preprocess: PreprocessConfig | None = None) -> tuple[Vectors, Vectors]:
    """Unit vectors of PHOTOS and TEXTS, made without any exported file."""
    architecture = model.architecture
    size = architecture.vision_cfg.image_size
    preprocess = preprocess or PreprocessConfig(size=(size, size))
    pixels = np.stack([resize_and_crop(Image.open(photo), preprocess) for photo in PHOTOS])
    images = model.encode_image(torch.from_numpy(normalise(pixels, preprocess)))
    tokenizer = clip_tokenizer()
    tokenizer.enable_truncation(architecture.text_cfg.context_length)
    tokenizer.enable_padding(length=architecture.text_cfg.context_length)  # with id 0, as OpenAI's code
    rows = [encoding.ids for encoding in tokenizer.encode_batch([" ".join(text.split()) for text in TEXTS])]
    return images.numpy(), model.encode_text(torch.tensor(rows)).numpy()


def from_folder(folder: Path) -> tuple[Vectors, Vectors]:
    """What search gets."""
    encoder = Encoder(ModelFolder.read(folder))
    return encoder.encode_images(
        [Image.open(photo).convert("RGB") for photo in PHOTOS]
    ), encoder.encode_texts(TEXTS)


def least_cosine(mine: Vectors, theirs: Vectors) -> float:
    return float((mine.astype(np.float64) * theirs).sum(axis=1).min())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# -- the vectors ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "fp32") for name in ARCHITECTURES), ("vit", "fp16"), ("vit", "int8"), ("resnet", "int8")],
)
def test_exported_embeddings_agree_with_pytorch(name: str, precision: Precision, tmp_path: Path) -> None:
    model = make_model(ARCHITECTURES[name])
    save(model, tmp_path / "weights", "openclip")
    done = export_model(tmp_path / "weights", tmp_path / "out", PHOTOS, precision=precision)
    for mine, theirs in zip(from_folder(tmp_path / "out"), from_torch(model), strict=True):
        assert least_cosine(mine, theirs) >= LEAST[precision]
        if precision == "fp32":
            assert np.abs(mine - theirs).max() <= 1e-4
    assert done.folder == tmp_path / "out"
    assert (done.photos.count, done.texts.count) == (len(PHOTOS), len(parity.TEXTS))
    assert min(done.photos.cosine, done.texts.cosine) >= LEAST[precision]


@pytest.mark.parametrize("quick_gelu", [True, False])
def test_an_exported_transformers_model_agrees_with_transformers(quick_gelu: bool, tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPModel

    vision, text = VIT.vision_cfg, VIT.text_cfg
    shared = {"hidden_act": "quick_gelu" if quick_gelu else "gelu", "intermediate_size": 128}
    config = CLIPConfig(
        text_config={
            **shared,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": text.context_length,
            "vocab_size": 49408,
            "eos_token_id": 49407,
        },
        vision_config={
            **shared,
            "hidden_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "image_size": vision.image_size,
            "patch_size": 8,
        },
        projection_dim=24,
    )
    torch.manual_seed(0)
    theirs = CLIPModel(config)
    theirs.save_pretrained(tmp_path / "weights")
    assert (tmp_path / "weights" / "model.safetensors").is_file()
    export_model(tmp_path / "weights", tmp_path / "out", PHOTOS)

    folder = ModelFolder.read(tmp_path / "out")
    pixels = np.stack([resize_and_crop(Image.open(photo), folder.preprocess) for photo in PHOTOS])
    tokens = Tokenizer(folder)(TEXTS)
    ids, mask = (torch.from_numpy(each.astype(np.int64)) for each in (tokens.ids, tokens.mask))
    with torch.inference_mode():
        images = theirs.get_image_features(torch.from_numpy(normalise(pixels, folder.preprocess)))
        texts = theirs.get_text_features(ids, attention_mask=mask)
    mine = from_folder(tmp_path / "out")
    for vectors, features in zip(mine, (images, texts), strict=True):
        expected = F.normalize(features.pooler_output, dim=-1).numpy()
        assert np.abs(vectors - expected).max() <= 1e-4


def test_int8_embeddings_do_not_depend_on_the_batch(folders: dict[Precision, Path]) -> None:
    """A scale for the whole batch would make a photo's vector depend on the photos beside it."""
    encoder = Encoder(ModelFolder.read(folders["int8"]))
    pixels = np.stack([encoder.preprocess(Image.open(photo)) for photo in PHOTOS])
    alone = np.concatenate([encoder.encode_pixels(pixels[row : row + 1]) for row in range(len(pixels))])
    assert np.allclose(encoder.encode_pixels(pixels), alone, atol=1e-6)
    alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    assert np.allclose(encoder.encode_texts(TEXTS), alone, atol=1e-6)


def test_weights_beyond_2_gb_are_stored_as_external_data(
    checkpoint: Path, folders: dict[Precision, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_towers, "MAX_FILE_BYTES", 1000)
    done = export_model(checkpoint, tmp_path / "parted", PHOTOS)
    for tower in ("visual", "textual"):
        graph, data = (tmp_path / "parted" / tower / name for name in ("model.onnx", "model.onnx.data"))
        assert graph.stat().st_size < data.stat().st_size
        onnx.checker.check_model(str(graph), full_check=True)
    assert done.size == sum(len(content) for content in tree(tmp_path / "parted").values())
    for parted, whole in zip(from_folder(tmp_path / "parted"), from_folder(folders["fp32"]), strict=True):
        np.testing.assert_allclose(parted, whole, atol=1e-6)


# -- the files -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_graphs_are_valid_and_take_any_batch(name: str, precision: Precision, tmp_path: Path) -> None:
    architecture = ARCHITECTURES[name]
    size = architecture.vision_cfg.image_size
    for tower, write, source in (
        ("visual", onnx_towers.write_visual, ("image", onnx.TensorProto.FLOAT, ["batch", 3, size, size])),
        ("textual", onnx_towers.write_textual, ("text", onnx.TensorProto.INT32, ["batch", "sequence"])),
    ):
        path = tmp_path / f"{tower}.onnx"
        write(make_model(architecture), path, precision)
        graph = onnx.load(path).graph
        onnx.checker.check_model(str(path), full_check=True)
        ports = [_port(port) for port in (*graph.input, *graph.output)]
        assert ports == [source, ("embedding", onnx.TensorProto.FLOAT, ["batch", 24])]


def _port(port: Any) -> tuple[str, int, list[str | int]]:
    sides = port.type.tensor_type.shape.dim
    return port.name, port.type.tensor_type.elem_type, [side.dim_param or side.dim_value for side in sides]


def test_fp16_and_int8_weights_take_half_and_a_quarter_of_the_space(folders: dict[Precision, Path]) -> None:
    sizes = [(folder / "textual" / "model.onnx").stat().st_size for folder in folders.values()]
    assert sizes[1] / sizes[0] == pytest.approx(1 / 2, abs=0.02)
    assert sizes[2] / sizes[0] == pytest.approx(1 / 4, abs=0.05)  # a tiny row of 32 has a scale of 4 bytes


def test_the_folder_describes_the_model(checkpoint: Path, model: CLIP, tmp_path: Path) -> None:
    done = export_model(checkpoint, tmp_path / "mine", PHOTOS, precision="int8")
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert Architecture.from_dict({k: v for k, v in config.items() if k != "clipsight"}, "it") == VIT
    folder = ModelFolder.read(tmp_path / "mine")
    assert (folder.name, folder.embed_dim, folder.context_length) == ("mine", 24, 16)
    assert folder.logit_scale == pytest.approx(model.logit_scale.exp().item(), abs=1e-3)
    assert not folder.logit_scale_assumed
    assert folder.license is None
    assert folder.provenance is not None and "open_clip_model.safetensors, SHA-256" in folder.provenance
    assert folder.figures["export"] == {
        "precision": "int8",
        "photos": done.photos.to_dict(),
        "texts": done.texts.to_dict(),
    }
    assert folder.preprocess == PreprocessConfig(size=(32, 32))
    names = {"config.json", "visual/model.onnx", "visual/preprocess_cfg.json"}
    names |= {f"textual/{name}" for name in ("model.onnx", "tokenizer.json", "tokenizer_config.json")}
    assert tree(tmp_path / "mine").keys() == names


def test_preprocessing_follows_the_checkpoint(checkpoint: Path, model: CLIP, tmp_path: Path) -> None:
    """As LAION's ViT-L/14 (mean and deviation 0.5) and Apple's larger ViT-H/14 (squash) do."""
    weights = _copy(checkpoint, tmp_path / "weights")
    config = json.loads((weights / "open_clip_config.json").read_text())
    config["preprocess_cfg"] = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}
    (weights / "open_clip_config.json").write_text(json.dumps(config))
    export_model(weights, tmp_path / "out", PHOTOS)
    halves = (0.5, 0.5, 0.5)
    expected = PreprocessConfig(size=(32, 32), mean=halves, std=halves, resize_mode="squash")
    assert ModelFolder.read(tmp_path / "out").preprocess == expected
    assert np.abs(from_folder(tmp_path / "out")[0] - from_torch(model, expected)[0]).max() <= 1e-4


def test_mean_and_std_of_transformers_are_kept(model: CLIP, tmp_path: Path) -> None:
    save(model, tmp_path / "weights", "huggingface")
    theirs = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.3, 0.2, 0.1], "size": {"shortest_edge": 224}}
    (tmp_path / "weights" / "preprocessor_config.json").write_text(json.dumps(theirs))
    export_model(tmp_path / "weights", tmp_path / "out", PHOTOS)
    expected = PreprocessConfig(size=(32, 32), mean=(0.5, 0.4, 0.3), std=(0.3, 0.2, 0.1))
    assert ModelFolder.read(tmp_path / "out").preprocess == expected


# -- where weights come from ---------------------------------------------------------


def test_the_folder_of_a_training_run_stands_for_its_best_weights(
    checkpoint: Path, folders: dict[Precision, Path], tmp_path: Path
) -> None:
    _copy(checkpoint, tmp_path / "run" / "best")
    (tmp_path / "run" / "last.pt").write_bytes(b"not looked at")
    export_model(tmp_path / "run", tmp_path / "out", PHOTOS[:1])
    for tower in ("visual", "textual"):
        mine, same = (folder / tower / "model.onnx" for folder in (tmp_path / "out", folders["fp32"]))
        assert mine.read_bytes() == same.read_bytes()


def test_a_training_checkpoint_needs_its_architecture_named(
    checkpoint: Path, model: CLIP, tmp_path: Path
) -> None:
    torch.save({"state_dict": model.state_dict(), "step": 7}, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=r"name it$"):
        export_model(tmp_path / "last.pt", tmp_path / "out", PHOTOS[:1])
    config = checkpoint / "open_clip_config.json"
    export_model(tmp_path / "last.pt", tmp_path / "out", PHOTOS, arch=config)
    assert np.abs(from_folder(tmp_path / "out")[0] - from_torch(model)[0]).max() <= 1e-4


@pytest.fixture
def server(model: CLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    import huggingface_hub.constants as constants

    save(model, tmp_path / "published", "huggingface")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with HubServer({"openai/clip-vit-base-patch32": files_of(tmp_path / "published")}) as started:
        started.connect(monkeypatch)
        yield started


def test_a_published_model_brings_its_name_and_licence(
    server: HubServer, model: CLIP, tmp_path: Path
) -> None:
    export_model("ViT-B/32", tmp_path / "out", PHOTOS)
    folder = ModelFolder.read(tmp_path / "out")
    assert folder.license == "MIT"
    assert folder.provenance is not None and folder.provenance.startswith(
        "model.safetensors of ViT-B/32, SHA"
    )
    assert np.abs(from_folder(tmp_path / "out")[1] - from_torch(model)[1]).max() <= 1e-4


# -- what is refused, and what is left then ------------------------------------------


def _zeros(array: Any, axis: int, peak: int) -> tuple[Any, Any]:
    values, scale = quantise(array, axis, peak)
    values[..., : values.shape[-1] // 2] = 0
    return values, scale


@pytest.mark.parametrize(
    ("precision", "module", "name", "wrong", "message"),
    [
        (
            "int8",
            onnx_graph,
            "quantise",
            _zeros,
            r"as int8, a cosine .* is [-\d.]+, below 0.99; .*set `precision` to fp16",
        ),
        (
            "fp32",
            onnx_towers,
            "_quick_gelu",
            onnx_graph.Graph.gelu,
            "differ from PyTorch's by .*, more than 0.0001",
        ),
        (
            "fp16",
            onnx_towers,
            "_quick_gelu",
            lambda graph, x: x,
            "as fp16, a cosine .*set `precision` to fp32",
        ),
    ],
)
def test_a_model_that_disagrees_with_pytorch_is_not_written(
    precision: Precision,
    module: Any,
    name: str,
    wrong: Callable[..., Any],
    message: str,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(ModelError, match=message) as caught:
        export_model(checkpoint, tmp_path / "out", PHOTOS, precision=precision)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [replace(TEXT, vocab_size=50), replace(TEXT, pool_type="eos", eos_id=7)])
def test_a_text_tower_for_another_tokenizer_is_refused(text: Any, tmp_path: Path) -> None:
    save(make_model(replace(VIT, text_cfg=text)), tmp_path / "weights", "openclip")
    with pytest.raises(CheckpointError, match="only models with CLIP's own tokenizer"):
        export_model(tmp_path / "weights", tmp_path / "out", PHOTOS)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_weights_is_an_error_that_names_them(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no weights in it; .*open_clip_model\.safetensors"):
        export_model(tmp_path, tmp_path / "out", PHOTOS)


def test_photos_that_can_not_be_read_are_left_out(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear Sir or Madam")
    with pytest.raises(ModelError, match=r"no photo to compare .*letter\.jpg: not an image"):
        export_model(checkpoint, tmp_path / "out", [tmp_path / "letter.jpg"])
    with pytest.raises(ModelError, match="no photo to compare"):
        export_model(checkpoint, tmp_path / "out", [])
    done = export_model(checkpoint, tmp_path / "out", [tmp_path / "letter.jpg", *PHOTOS])
    assert done.photos.count == len(PHOTOS)


def test_an_existing_model_is_replaced_only_with_overwrite(
    checkpoint: Path, folders: dict[Precision, Path], tmp_path: Path
) -> None:
    folder = _copy(folders["fp32"], tmp_path / "out")
    before = tree(folder)
    with pytest.raises(ModelError, match=r"there is a model in .*`overwrite=True`"):
        export_model(checkpoint, folder, PHOTOS, precision="int8")
    assert tree(folder) == before
    export_model(checkpoint, folder, PHOTOS, precision="int8", overwrite=True)
    assert ModelFolder.read(folder).figures["export"]["precision"] == "int8"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_failed_export_keeps_the_existing_model(
    checkpoint: Path, folders: dict[Precision, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _copy(folders["fp32"], tmp_path / "out")
    before = tree(folder)
    monkeypatch.setattr(onnx_graph, "quantise", _zeros)
    with pytest.raises(ModelError, match="nothing is written"):
        export_model(checkpoint, folder, PHOTOS, precision="int8", overwrite=True)
    assert tree(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("overwrite", [False, True])
def test_folders_of_other_files_are_never_replaced(overwrite: bool, checkpoint: Path, tmp_path: Path) -> None:
    pictures, file = tmp_path / "Pictures", tmp_path / "file"
    pictures.mkdir()
    (pictures / "holiday.jpg").write_bytes(b"irreplaceable")
    file.write_text("mine")
    with pytest.raises(ModelError, match="holds other things than a model"):
        export_model(checkpoint, pictures, PHOTOS, overwrite=overwrite)
    with pytest.raises(ModelError, match="is a file"):
        export_model(checkpoint, file, PHOTOS, overwrite=overwrite)
    assert tree(tmp_path) == {"Pictures/holiday.jpg": b"irreplaceable", "file": b"mine"}


def test_empty_and_missing_folders_are_accepted(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "a" / "b" / "c"):
        export_model(checkpoint, folder, PHOTOS[:1])
        assert ModelFolder.read(folder).name == folder.name


def test_a_model_that_appeared_meanwhile_is_not_replaced(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"

    def late(*arguments: Any) -> Any:
        folder.mkdir()
        (folder / "config.json").write_text("another's")
        return parity.compare(*arguments)

    monkeypatch.setattr("clipsight.export.export.compare", late)
    with pytest.raises(ModelError, match="can't be written"):
        export_model(checkpoint, folder, PHOTOS)
    assert tree(tmp_path) == {"out/config.json": b"another's"}


def test_an_interrupted_export_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("clipsight.export.export.compare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_model(checkpoint, tmp_path / "out", PHOTOS)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_can_not_be_written_is_named(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="can't be written"):
        export_model(checkpoint, tmp_path / "file" / "out", PHOTOS)


# -- whole numbers -------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([64, 127]), st.sampled_from([0, 1]))
def test_the_chosen_clipping_never_increases_the_rounding_error(seed: int, peak: int, axis: int) -> None:
    array = np.random.default_rng(seed).standard_t(3, (7, 9)).astype(np.float32)
    values, scale = quantise(array, axis, peak)
    assert values.dtype == np.int8 and np.abs(values.astype(int)).max() <= peak
    assert scale.shape == ((7, 1) if axis == 0 else (1, 9))
    plain = np.abs(array).max(axis=1 - axis, keepdims=True) / peak
    error = np.square(values * scale - array).sum(axis=1 - axis)
    assert (error <= np.square(np.rint(array / plain) * plain - array).sum(axis=1 - axis) * (1 + 1e-4)).all()


def test_a_channel_of_zeros_stays_zero() -> None:
    values, scale = quantise(np.zeros((3, 4), np.float32), 1, 127)
    assert not values.any() and (scale > 0).all()


def test_sums_of_two_products_fit_in_16_bits(folders: dict[Precision, Path]) -> None:
    """Without VNNI, ONNX Runtime adds products of uint8 and int8 in pairs, in 16 bits."""
    for tower in ("visual", "textual"):
        graph = onnx.load(folders["int8"] / tower / "model.onnx").graph
        multiplied = {node.input[1] for node in graph.node if node.op_type == "MatMulInteger"}
        weights = [onnx.numpy_helper.to_array(each) for each in graph.initializer if each.name in multiplied]
        assert weights
        assert max(2 * 255 * np.abs(weight.astype(int)).max() for weight in weights) < 2**15


def _copy(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))

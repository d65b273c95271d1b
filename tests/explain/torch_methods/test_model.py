"""A checkpoint for explanations: the same embeddings, its tokens as words, and its errors."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipsight.clip.checkpoint import save
from clipsight.core.errors import CheckpointError, ModelError
from clipsight.explain.text_segments import one_line, split
from clipsight.explain.torch_methods.model import CheckpointMethod, open_checkpoint, tokenise
from clipsight.export.export import export_model
from clipsight.models.clip_bpe import clip_tokenizer
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from tests.support.checkpoints import PIECES, QUERY, RESNET, VIT, make_model
from tests.support.clip_weights import TINY_VIT
from tests.support.fake import FakeModel
from tests.support.samples import SAMPLES

pytestmark = pytest.mark.torch

TEXTS = ["a dog", "", "so very " * 40, "CAFÉ  & Crème brûlée", QUERY]
TOKENIZER = clip_tokenizer()


@pytest.fixture(scope="module", params=["vit", "resnet"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository with a checkpoint, and its export beside it."""
    path = tmp_path_factory.mktemp("model")
    save(make_model(VIT if request.param == "vit" else RESNET).clip, path / "checkpoint", "openclip")
    export_model(path / "checkpoint", path / "onnx", list(SAMPLES.values())[:2])
    yield path


def test_vectors_are_those_of_the_exported_folder(folder: Path) -> None:
    model, encoder = open_checkpoint(folder / "checkpoint"), Encoder(ModelFolder.read(folder / "onnx"))
    assert model.preprocessing == encoder.folder.preprocess
    assert model.context_length == encoder.folder.context_length
    np.testing.assert_allclose(model.encode_texts(TEXTS), encoder.encode_texts(TEXTS), atol=1e-5)
    assert model.truncated(TEXTS) == encoder.truncated(TEXTS)
    photos = [Image.open(file).convert("RGB") for file in SAMPLES.values()] * 3  # more than run at once
    pixels = [model.preprocess(photo) for photo in photos]
    np.testing.assert_allclose(model.encode_pixels(pixels), encoder.encode_pixels(pixels), atol=1e-5)


def test_no_input_gives_no_vectors() -> None:
    model = make_model()
    assert model.encode_texts([]).shape == model.encode_pixels([]).shape == (0, 24)


def test_features_are_available_for_resnets_only() -> None:
    model = make_model(RESNET)
    pixels = np.zeros((64, 64, 3), np.uint8)
    query = model.encode_texts([QUERY])[0]
    trace = model.trace_features(pixels, query)
    assert trace.inputs.shape == trace.input_gradients.shape == (256, 2, 2)
    assert [weights.shape for weights in trace.attentions] == [(8, 1, 5)]


def test_tracing_restores_the_model() -> None:
    model = make_model()
    before = model.encode_texts([QUERY])
    model.trace_text(QUERY, before[0])
    assert not model.clip.text.token_embedding._forward_hooks
    np.testing.assert_allclose(model.encode_texts([QUERY]), before, atol=1e-6)
    assert all(parameter.grad is None for parameter in model.clip.parameters())


def test_pieces_are_merged_into_words() -> None:
    tokens = tokenise(QUERY, 77)
    assert tokens.merge(np.ones(len(tokens.ids)), split(QUERY)) == list(PIECES)


def test_a_token_that_spans_two_words_is_split_between_them() -> None:
    text = "红花"
    tokens = replace(tokenise(text, 77), ids=(1, 2, 3), spans=((0, 2),))
    assert tokens.merge(np.array([9.0, 4.0, 9.0]), split(text)) == [2.0, 2.0]


def test_a_long_text_keeps_its_end() -> None:
    tokens = tokenise("red flower " * 50, 16)
    assert len(tokens.ids) == 16 and tokens.truncated
    assert tokens.ids[-1] == 49_407
    words = split("red flower " * 50)
    assert tokens.merge(np.ones(16), words) == [1.0] * 14 + [0.0] * 86


@given(st.text(max_size=60).map(one_line).filter(bool))
def test_words_add_up_to_the_sum_of_the_tokens(text: str) -> None:
    tokens = tokenise(text, 77)
    assert tokens.ids == tuple(TOKENIZER.encode(text).ids[:76]) + (49_407,) * tokens.truncated
    values = np.arange(len(tokens.ids), dtype=float)
    visible = [value for value, (start, end) in zip(values[1:-1], tokens.spans, strict=True) if end > start]
    assert sum(tokens.merge(values, split(text))) == pytest.approx(sum(visible))


def test_only_a_checkpoint_is_supported() -> None:
    assert CheckpointMethod.unsupported(make_model()) is None
    assert "no PyTorch checkpoint" in str(CheckpointMethod.unsupported(FakeModel()))


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    save(make_model(replace(TINY_VIT, text_cfg=TINY_VIT.text_cfg)).clip, tmp_path / "model", "openclip")
    with pytest.raises(CheckpointError, match="vocabulary of 50 tokens"):
        open_checkpoint(tmp_path / "model")


def test_missing_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights at"):
        open_checkpoint(tmp_path / "missing.pt")


def test_without_pytorch_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("clipsight.clip.", "clipsight.training."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelError, match=r"a checkpoint needs torch: pip install '\.\[train\]'"):
        open_checkpoint("anything.pt")


@pytest.mark.process
def test_the_methods_are_known_without_pytorch() -> None:
    """Importing them all is cheap: PyTorch is imported when a checkpoint is opened."""
    code = (
        "import sys; from clipsight.explain.explanation import region_explainer, word_explainer\n"
        "from clipsight.explain.registry import METHODS\n"
        "for method in METHODS.values():\n"
        "    word_explainer(method), region_explainer(method)\n"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

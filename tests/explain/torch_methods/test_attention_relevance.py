"""Relevance agrees with the paper, on attention and gradients of transformers."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from transformers import CLIPModel

from clipsight.clip.checkpoint import save
from clipsight.explain.base import Settings
from clipsight.explain.text_segments import split
from clipsight.explain.torch_methods.attention import RelevanceRegions, RelevanceWords
from clipsight.explain.torch_methods.model import TorchModel
from tests.support.checkpoints import QUERY, RESNET, grouped, make_model, noise

pytestmark = pytest.mark.torch


def rolled_out(layers: tuple[Tensor, ...], logit: Tensor) -> npt.NDArray[np.float64]:
    """Equations 5 and 6 of Chefer et al. 2021, one head and one layer after another."""
    gradients = torch.autograd.grad(logit, layers, retain_graph=True)
    relevance = np.eye(layers[0].shape[-1])
    for weights, slopes in zip(layers, gradients, strict=True):
        heads = [
            np.clip(slope * weight, 0, None)
            for weight, slope in zip(weights[0].detach().numpy(), slopes[0].numpy(), strict=True)
        ]
        relevance = relevance + (sum(heads) / len(heads)) @ relevance
    return relevance


@pytest.fixture(scope="module")
def model() -> TorchModel:
    return make_model()


@pytest.fixture(scope="module")
def wanted(
    model: TorchModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The relevance of the text's tokens and of the photo's patches."""
    folder: Path = tmp_path_factory.mktemp("theirs")
    save(model.clip, folder, "huggingface")
    theirs = CLIPModel.from_pretrained(folder, attn_implementation="eager")
    out = theirs(
        input_ids=torch.tensor([model.tokens(QUERY).ids]),
        pixel_values=model.image_input([noise(model)]),
        output_attentions=True,
    )
    logit = out.logits_per_image[0, 0]
    return (
        rolled_out(out.text_model_output.attentions, logit)[-1],
        rolled_out(out.vision_model_output.attentions, logit)[0, 1:],
    )


def test_words(model: TorchModel, wanted: tuple[npt.NDArray[np.float64], ...]) -> None:
    found = RelevanceWords(model, Settings()).explain_words(QUERY, split(QUERY), noise(model))
    shares = [each.contribution for each in found.words]
    assert shares == pytest.approx(grouped(wanted[0]), rel=1e-3, abs=1e-6)
    assert max(shares) > 0


def test_patches(model: TorchModel, wanted: tuple[npt.NDArray[np.float64], ...]) -> None:
    query = model.encode_texts([QUERY])[0]
    heat = RelevanceRegions(model, Settings()).explain_region(query, noise(model)).heat
    np.testing.assert_allclose(heat, wanted[1].reshape(4, 4), rtol=1e-3, atol=1e-6)
    assert heat.max() > 0


def test_a_resnet_has_relevance_for_words_only() -> None:
    model = make_model(RESNET)
    assert RelevanceWords.unsupported(model) is None
    assert "ResNet" in str(RelevanceRegions.unsupported(model))
    found = RelevanceWords(model, Settings()).explain_words(QUERY, split(QUERY), noise(model))
    assert min(each.contribution for each in found.words) >= 0

"""Attention of whole words is transformers' attention of their pieces."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPModel

from clipsight.clip.checkpoint import save
from clipsight.explain.base import Settings
from clipsight.explain.text_segments import split
from clipsight.explain.torch_methods.attention import AttentionWords
from tests.support.checkpoints import QUERY, grouped, make_model, noise

pytestmark = pytest.mark.torch


def test_words_have_the_attention_of_the_end_token_in_the_last_layer(tmp_path: Path) -> None:
    model = make_model()
    save(model.clip, tmp_path, "huggingface")
    theirs = CLIPModel.from_pretrained(tmp_path, attn_implementation="eager")
    ids = torch.tensor([model.tokens(QUERY).ids])
    with torch.inference_mode():
        last = theirs.text_model(input_ids=ids, output_attentions=True).attentions[-1]
    wanted = grouped(last[0].mean(dim=0)[-1].numpy())

    found = AttentionWords(model, Settings()).explain_words(QUERY, split(QUERY), noise(model))

    assert [each.word for each in found.words] == QUERY.split()
    assert [each.contribution for each in found.words] == pytest.approx(wanted, abs=1e-6)
    assert not found.additive


def test_attention_is_the_same_for_every_photo_without_start_and_end() -> None:
    model = make_model()
    explainer = AttentionWords(model, Settings())
    one, other = (explainer.explain_words(QUERY, split(QUERY), noise(model, seed)) for seed in (0, 1))
    assert one == other
    weights = model.text_attentions(QUERY)[-1].mean(axis=0)[-1]
    total = sum(each.contribution for each in one.words)
    assert total == pytest.approx(1 - weights[0] - weights[-1], abs=1e-6)


def test_all_layers_are_returned_and_sum_to_one() -> None:
    model = make_model()
    attentions = model.text_attentions(QUERY)
    assert len(attentions) == model.clip.architecture.text_cfg.layers
    for weights in attentions:
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)

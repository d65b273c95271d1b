"""The text tower: causality, where a text ends, padding, initialisation."""

from dataclasses import replace

import pytest
import torch

from clipsight.clip.text import TextTransformer
from tests.support.clip_weights import TINY_TEXT, TINY_VIT, fill, ids

pytestmark = pytest.mark.torch


@pytest.fixture
def tower() -> TextTransformer:
    built = TextTransformer(TINY_TEXT, 24).eval()
    fill(built)
    return built


def test_a_text_ends_at_the_first_of_its_end_tokens(tower: TextTransformer) -> None:
    end = TINY_TEXT.vocab_size - 1
    texts = torch.tensor([[48, 3, end, 0, 0, 0], [48, end, end, end, end, end], [48, 1, 2, 3, 4, end]])
    assert tower.ends(texts).tolist() == [2, 1, 5]


def test_an_end_token_below_the_highest_id_is_found_by_its_id() -> None:
    tower = TextTransformer(replace(TINY_TEXT, pool_type="eos", eos_id=2), 24)
    assert tower.ends(torch.tensor([[9, 49, 2, 1, 1], [9, 2, 2, 2, 2]])).tolist() == [2, 1]


def test_tokens_after_the_end_change_nothing(tower: TextTransformer) -> None:
    texts = ids(TINY_VIT, 3)
    padded = texts.clone()
    for row, end in zip(padded, tower.ends(texts).tolist(), strict=True):
        row[end + 1 :] = 31
    assert not torch.equal(texts, padded)
    torch.testing.assert_close(tower(texts), tower(padded))


def test_a_shorter_context_gives_the_same_embedding(tower: TextTransformer) -> None:
    texts = ids(TINY_VIT, 3)[:2]
    assert texts[:, 8:].count_nonzero() == 0
    assert torch.allclose(tower(texts), tower(texts[:, :8]), atol=1e-6)


def test_order_and_every_word_before_the_end_matter(tower: TextTransformer) -> None:
    text = torch.tensor([[48, 5, 6, 7, 49]])
    for other in ([48, 6, 5, 7, 49], [48, 5, 6, 8, 49], [47, 5, 6, 7, 49]):
        assert (tower(text) - tower(torch.tensor([other]))).abs().max() > 1e-3


def test_no_token_sees_a_later_one(tower: TextTransformer) -> None:
    attentions: list[torch.Tensor] = []
    tower(ids(TINY_VIT, 2), attentions)
    assert [tuple(each.shape) for each in attentions] == [(2, 2, 12, 12)] * 2
    for weights in attentions:
        assert weights.triu(1).count_nonzero() == 0
        assert torch.allclose(weights.sum(-1), torch.ones(2, 2, 12))


def test_requesting_attention_does_not_change_the_embedding(tower: TextTransformer) -> None:
    texts = ids(TINY_VIT)
    assert torch.allclose(tower(texts), tower(texts, []), atol=1e-6)


def test_it_can_be_exported_with_any_batch(tower: TextTransformer) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(tower, (ids(TINY_VIT, 2),), dynamic_shapes={"ids": {0: batch}}).module()
    for count in (1, 5):
        texts = ids(TINY_VIT, count)
        assert torch.allclose(exported(texts), tower(texts), atol=1e-6)


def test_initialisation_is_that_of_openais_code() -> None:
    torch.manual_seed(0)
    config = replace(TINY_TEXT, width=256, heads=4, layers=3, vocab_size=2000, context_length=77)
    tower = TextTransformer(config, 512)
    block = tower.transformer.resblocks[1]
    expected = {
        tower.token_embedding.weight: 0.02,
        tower.positional_embedding: 0.01,
        tower.text_projection: 256**-0.5,
        block.get_parameter("attn.in_proj_weight"): 256**-0.5,
        block.get_parameter("attn.out_proj.weight"): 256**-0.5 * 6**-0.5,
        block.get_parameter("mlp.c_fc.weight"): 512**-0.5,
        block.get_parameter("mlp.c_proj.weight"): 256**-0.5 * 6**-0.5,
    }
    for weight, std in expected.items():
        assert weight.std().item() == pytest.approx(std, rel=0.02)
        assert abs(weight.mean().item()) < 0.02 * std * 3
    for bias in ("attn.in_proj_bias", "attn.out_proj.bias"):
        assert block.get_parameter(bias).count_nonzero() == 0

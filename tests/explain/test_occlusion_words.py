"""Words by occlusion: exact Shapley values of few words, sampled ones with a correct standard error."""

import numpy as np
import pytest

from clipsight.explain.base import Settings, WordExplanation
from clipsight.explain.occlusion import (
    OcclusionWords,
    coalitions,
    draw_permutation_pairs,
    exact_shapley_values,
    sampled_shapley_values,
)
from clipsight.explain.text_segments import split
from tests.support.fake import FakeModel, photo_of

LONG = "a small red bird sits on the old green bench beside two tall trees in spring"


def explained(text: str, model: FakeModel, cost: int = 128, blank: str = "") -> WordExplanation:
    return OcclusionWords(model, Settings(cost=cost), blank=blank).explain_words(
        text, split(text), photo_of(200, 40)
    )


def gain(text: str, model: FakeModel) -> float:
    """The score minus the empty text's."""
    photo = model.encode_pixels([photo_of(200, 40)])[0].astype(np.float64)
    whole, empty = model.encode_texts([text, ""]).astype(np.float64) @ photo
    return float(whole - empty)


@pytest.mark.parametrize(
    "text", ["bee", "a red bee", "the dog and the dog", LONG, "两只狗在海滩上", f"{LONG} {LONG}"]
)
def test_shares_add_up_to_the_score_minus_that_of_empty_texts(text: str) -> None:
    model = FakeModel()
    found = explained(text, model)
    assert found.additive
    assert [share.word for share in found.words] == [word.text for word in split(text)]
    assert sum(share.contribution for share in found.words) == pytest.approx(gain(text, model), abs=1e-12)


def test_a_single_word_has_the_whole_difference() -> None:
    model = FakeModel()
    (share,) = explained("bee", model).words
    assert share.contribution == share.leave_one_out == pytest.approx(gain("bee", model), abs=1e-12)
    assert share.stderr == 0


def test_few_words_have_exact_shapley_values() -> None:
    model = FakeModel()
    found = explained("one two three four five six seven eight", model)
    assert all(share.stderr == 0 for share in found.words)
    assert len(model.texts) == 2**8


def test_shapley_values_of_a_game_computed_by_hand() -> None:
    """One left glove, two right ones; a pair is worth 1: 2/3, 1/6 and 1/6."""
    score = {subset: float(bool(subset & 1) and bool(subset & 6)) for subset in range(8)}
    assert exact_shapley_values(score, 3) == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_all_permutations_give_the_exact_shapley_values() -> None:
    rng = np.random.default_rng(3)
    score = dict(enumerate(rng.standard_normal(8)))
    pairs = [((0, 1, 2), (2, 1, 0)), ((0, 2, 1), (1, 2, 0)), ((1, 0, 2), (2, 0, 1))]
    shares, _ = sampled_shapley_values(score, pairs)
    assert shares == pytest.approx(exact_shapley_values(score, 3))


def test_the_error_of_sampled_shapley_values_is_their_standard_error() -> None:
    rng = np.random.default_rng(0)
    score = dict(enumerate(rng.standard_normal(2**9)))
    exact = exact_shapley_values(score, 9)
    off = []
    for seed in range(40):
        shares, errors = sampled_shapley_values(
            score, draw_permutation_pairs(9, 200, np.random.default_rng(seed))
        )
        off += ((shares - exact) / errors).tolist()
    assert 0.85 < float(np.std(off)) < 1.25
    assert abs(float(np.mean(off))) < 0.15


def test_sampled_shapley_values_agree_with_exact_ones() -> None:
    text = "one two three four five six seven"
    exact, sampled = explained(text, FakeModel()), explained(text, FakeModel(), cost=40)
    for one, other in zip(exact.words, sampled.words, strict=True):
        assert other.stderr is not None and other.stderr > 0
        assert abs(one.contribution - other.contribution) < 5 * other.stderr
        assert one.leave_one_out == pytest.approx(other.leave_one_out, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("cost", [64, 128, 500])
def test_the_cost_limits_the_number_of_embedded_texts(cost: int) -> None:
    model = FakeModel()
    explained(LONG, model, cost)
    assert cost < len(model.texts) <= 2 * cost


@pytest.mark.slow
def test_a_text_too_long_for_the_cost_still_has_a_standard_error() -> None:
    model = FakeModel()
    text = " ".join(f"word{number}" for number in range(77))
    found = explained(text, model, cost=64)
    assert all(share.stderr is not None for share in found.words)
    assert len(model.texts) <= 5 * 77


def test_equal_texts_are_embedded_once() -> None:
    model = FakeModel()
    explained("ha ha ha ha", model)
    assert sorted(model.texts) == ["", "ha", "ha ha", "ha ha ha", "ha ha ha ha"]


def test_words_left_out_are_replaced_by_a_space() -> None:
    model = FakeModel()
    explained("red bee", model, blank="thing")
    assert sorted(model.texts) == ["red bee", "red thing", "thing bee", "thing thing"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_shares() -> None:
    assert explained(LONG, FakeModel()) == explained(LONG, FakeModel())


def test_progress_ends_at_its_announced_total() -> None:
    seen: list[tuple[str, int, int]] = []
    settings = Settings(progress=lambda *step: seen.append(step))
    OcclusionWords(FakeModel(), settings).explain_words(LONG, split(LONG), photo_of(9, 99))
    what, done, total = seen[-1]
    assert (what, done) == ("words", total)
    assert [step[1] for step in seen] == sorted(step[1] for step in seen)


def test_coalitions_grow_by_one_word() -> None:
    assert coalitions((2, 0, 1)) == [0b000, 0b100, 0b101, 0b111]

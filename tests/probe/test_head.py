"""Linear heads: probabilities, interpolation, and the classifier's own weights."""

import numpy as np

from clipsight import Library
from clipsight.classification.prompts import TemplateSet
from clipsight.probe.head import Head, interpolate, zero_shot_head
from clipsight.probe.logistic import fine_tune
from tests.support.labelled import WORDS, points


def test_interpolation_runs_from_zero_shot_to_fine_tuned() -> None:
    train = points(10)
    end = fine_tune(WORDS, train.vectors, train.labels, 10)
    np.testing.assert_array_equal(interpolate(WORDS, end, 0).weights, WORDS.weights)
    np.testing.assert_array_equal(interpolate(WORDS, end, 1).weights, end.weights)
    half = interpolate(WORDS, end, 0.5).logits(train.vectors)
    np.testing.assert_allclose(half, (WORDS.logits(train.vectors) + end.logits(train.vectors)) / 2, atol=1e-9)


def test_probabilities_of_large_logits() -> None:
    head = Head(np.array([[1e6, 0], [0, 1e6]]), np.zeros(2))
    np.testing.assert_array_equal(head.probabilities(np.eye(2)), np.eye(2))


def test_zero_shot_weights_are_those_of_the_classifier(library: Library) -> None:
    encoder, templates = library.encoder, TemplateSet("two", ("a {}", "the {}"))
    head = zero_shot_head(["cat", "coffee_cup"], encoder, templates)
    means = encoder.encode_texts(["a coffee cup", "the coffee cup"]).mean(0)
    expected = encoder.logit_scale * means / np.linalg.norm(means)
    np.testing.assert_allclose(head.weights[1], expected, rtol=1e-5)
    assert not head.bias.any()

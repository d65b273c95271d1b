"""Parts of a joint query: shares that add up, and the weights that `combine` uses."""

from pathlib import Path

import numpy as np
import pytest

from clipsight.core.errors import QueryError
from clipsight.explain.parts import embed_parts
from clipsight.search.query import Query, coefficients, combine
from tests.support.fake import DIM, FakeModel, unit


@pytest.mark.parametrize(
    "text", ["bee", "- cartoon", "flower + 2:bee - cartoon", "bee + bee + 3:bee", "0:a + b"]
)
@pytest.mark.parametrize("balanced", [False, True])
def test_coefficients_are_those_of_combine(text: str, balanced: bool) -> None:
    query = Query.parse(text)
    vectors = FakeModel().encode_texts([part.value for part in query.parts])
    rng = np.random.default_rng(5)
    sample = unit(rng.standard_normal((50, DIM)).astype(np.float32)) if balanced else None
    found = coefficients(query, vectors, sample)
    assert np.abs(found @ vectors - combine(query, vectors, sample)).max() < 1e-6
    assert np.linalg.norm(found @ vectors.astype(np.float64)) == pytest.approx(1, abs=1e-12)


def test_weights_keep_their_ratio() -> None:
    query = Query.parse("flower + 2:bee - 0.5:cartoon")
    found = coefficients(query, FakeModel().encode_texts(["flower", "bee", "cartoon"]), None)
    assert found / found[0] == pytest.approx([1, 2, -0.5])


def test_parts_that_cancel_out_are_told() -> None:
    query = Query.parse("bee - bee")
    with pytest.raises(QueryError, match="cancel each other out"):
        coefficients(query, FakeModel().encode_texts(["bee", "bee"]), None)


def test_pictures_and_words_are_embedded_in_their_order(photos: Path) -> None:
    model = FakeModel()
    vectors = embed_parts(Query.parse(f"bee + {photos / 'cat.png'} + flower"), model)
    assert np.array_equal(vectors[[0, 2]], model.encode_texts(["bee", "flower"]))
    assert vectors[1, 3:].max() == 0

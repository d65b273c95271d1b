"""CSV and JSON as streams: valid for other programs, in bounded memory."""

import csv
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.classification.predictions import Predictions
from clipsight.classification.prompts import TemplateSet
from clipsight.classification.zero_shot import Classification, Classifier
from clipsight.core.errors import LabelError
from clipsight.render.predictions import PredictionTally, csv_text, failure_notes, json_text
from clipsight.search.results import Embeddings

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def classification(
    labels: tuple[str, ...],
    photos: int,
    *,
    chunk: int = 1024,
    dim: int = 16,
    failures: tuple[tuple[Path, str], ...] = (),
    bias: float | None = None,
) -> Classification:
    """Random photos: /p/0.jpg has the id 0, which is that of a photo the library does not have."""
    random = np.random.default_rng(0)
    weights = random.standard_normal((len(labels), dim), np.float32)
    classifier = Classifier(labels, weights / np.linalg.norm(weights, axis=1, keepdims=True), 20.0, bias)

    def chunks() -> Iterator[Embeddings]:
        yield Embeddings(np.empty(0, np.int64), (), np.empty((0, dim), np.float32), failures)
        for start in range(0, photos, chunk):
            numbers = range(start, min(photos, start + chunk))
            vectors = random.standard_normal((len(numbers), dim), np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            yield Embeddings(np.array(numbers), tuple(Path(f"/p/{n}.jpg") for n in numbers), vectors)

    return Classification(
        "tiny", classifier, TemplateSet("plain", ("{}",)), map(classifier.predict, chunks())
    )


@given(labels=st.lists(TEXT, min_size=2, max_size=6, unique=True), top=st.none() | st.integers(1, 7))
@pytest.mark.slow
def test_csv_and_json_have_the_same_numbers(labels: list[str], top: int | None) -> None:
    names = tuple(labels)
    plain = list(classification(names, 5, chunk=2))
    rows = list(
        csv.reader(
            io.StringIO("".join(csv_text(PredictionTally(classification(names, 5, chunk=2), 3), top)), "")
        )
    )
    whole = json.loads("".join(json_text(PredictionTally(classification(names, 5, chunk=2), 3), top)))
    ranked = top is not None and top < len(names)
    assert whole["labels"] == labels and len(rows) == 6 and len(whole["photos"]) == 5
    for prediction, row, photo in zip(plain, rows[1:], whole["photos"], strict=True):
        assert row[0] == photo["path"] == str(prediction.path)
        assert row[1] == str(photo["id"] or "") and (photo["id"] or 0) == prediction.id
        assert row[2] == photo["label"] == prediction.label
        assert float(row[3]) == photo["probability"] == round(prediction.probability, 6)
        expected = dict(zip(names, (round(float(p), 6) for p in prediction.probabilities), strict=True))
        if ranked:
            best = sorted(expected.values(), reverse=True)[:top]
            assert list(photo["probabilities"].values()) == [float(cell) for cell in row[3::2]] == best
            assert list(photo["probabilities"]) == row[2::2]
            assert all(expected[label] == value for label, value in photo["probabilities"].items())
        else:
            assert photo["probabilities"] == pytest.approx(expected, abs=1e-6)
            assert rows[0][4:] == labels and [float(cell) for cell in row[4:]] == list(expected.values())
    assert len(rows[0]) == len(rows[1])


def test_json_contains_the_scoring() -> None:
    failures = ((Path("/p/犬\n.jpg"), "not an image"),)
    text = "".join(json_text(PredictionTally(classification(("a", "猫"), 1, failures=failures), 0)))
    assert '"猫": ' in text and "/p/犬\\n.jpg" in text
    whole = json.loads(text)
    assert list(whole) == [
        "model", "scoring", "logit_scale", "logit_scale_assumed", "logit_bias", "template_set", "templates",
        "labels", "photos", "failures",
    ]  # fmt: skip
    assert (whole["model"], whole["scoring"], whole["logit_scale"]) == ("tiny", "softmax", 20.0)
    assert whole["failures"] == [{"path": "/p/犬\n.jpg", "reason": "not an image"}]
    sigmoid = json.loads("".join(json_text(PredictionTally(classification(("a", "b"), 1, bias=-2.0)))))
    assert (sigmoid["scoring"], sigmoid["logit_bias"]) == ("sigmoid", -2.0)


def test_the_first_photos_are_kept_and_all_are_counted() -> None:
    tally = PredictionTally(classification(("a", "b", "c"), 50, chunk=7), keep=10)
    everything = [prediction for chunk in tally for prediction in chunk]
    assert [kept.path for kept in tally.first] == [prediction.path for prediction in everything[:10]]
    assert all(kept.probabilities.base is None for kept in tally.first)
    assert tally.count == 50
    for label in "abc":
        assert tally.photos_of[label] == sum(prediction.label == label for prediction in everything)


def test_no_photo_at_all_is_an_error_before_anything_is_written() -> None:
    failures = ((Path("/p/x.jpg"), "not an image"), (Path("/p/y.jpg"), "empty"))
    for write in (csv_text, json_text):
        with pytest.raises(LabelError, match=r"/p/x\.jpg: not an image \(and 1 more"):
            next(write(PredictionTally(classification(("a", "b"), 0, failures=failures), 3)))
        with pytest.raises(LabelError, match="no photo to classify"):
            next(write(PredictionTally(classification(("a", "b"), 0), 3)))


def test_a_photo_is_not_overwritten() -> None:
    tally = PredictionTally(classification(("a", "b"), 9), 3, frozenset({Path("/p/7.jpg")}))
    with pytest.raises(LabelError, match=r"/p/7\.jpg is one of the photos"):
        list(tally)


def test_failure_notes_are_limited_and_of_one_line() -> None:
    failures = [(Path(f"/p/{number}\n\udce9.jpg"), "not an image") for number in range(12)]
    notes = failure_notes(failures)
    assert len(notes) == 11 and notes[0] == "not classified: /p/0\\n\\xe9.jpg: not an image"
    assert notes[-1].startswith("and 2 more photos")
    assert len(failure_notes(failures[:10])) == 10


@pytest.mark.slow
@pytest.mark.parametrize("write", [csv_text, json_text])
def test_many_photos_and_a_thousand_labels_stream(write: Callable[..., Iterator[str]]) -> None:
    labels = tuple(f"label {number}" for number in range(1000))
    tally = PredictionTally(classification(labels, 20_000), keep=200)
    tracemalloc.start()
    try:
        characters = sum(len(text) for text in write(tally, 3))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert tally.count == 20_000 and characters > 1_000_000
    assert peak < 40e6, f"{peak / 1e6:.0f} MB, where all probabilities are 80"


@pytest.mark.parametrize("write", [csv_text, json_text])
def test_each_chunk_is_written_before_the_next_is_computed(write: Callable[..., Iterator[str]]) -> None:
    computed: list[int] = []
    result = classification(tuple("abc"), 100, chunk=10)

    def chunks() -> Iterator[Predictions]:
        for chunk in result.chunks:
            computed.append(len(chunk))
            yield chunk

    texts = write(PredictionTally(replace(result, chunks=chunks()), keep=3))
    for written in range(1, 11):
        while next(texts).count("/p/") == 0:  # the heading of JSON
            pass
        assert sum(computed) == 10 * written

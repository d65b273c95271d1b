"""Zero-shot classification: exact against NumPy in double precision, and right on real photos."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight import Library
from clipsight.classification.predictions import best_labels
from clipsight.classification.prompts import TemplateSet, load_templates
from clipsight.classification.zero_shot import Classifier, split_arguments
from clipsight.core.errors import LabelError, LibraryError
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from tests.support.arrays import random_unit
from tests.support.properties import examples
from tests.support.samples import SAMPLES
from tests.support.tiny_models import make_model_folder

LABELS = ("a cat", "a dog", "a red flower")
TWO = TemplateSet("two", ("a photo of {}.", "{} in the snow"))


@pytest.fixture
def encoder(tiny_model: Path) -> Encoder:
    return Encoder(ModelFolder.read(tiny_model))


class Counting:
    """An encoder that counts the texts it embeds."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.texts: list[str] = []

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        self.texts += texts
        return self._encoder.encode_texts(texts)

    def __getattr__(self, name: str) -> object:
        return getattr(self._encoder, name)


@examples(40)
@given(
    photos=st.integers(1, 700),
    labels=st.integers(2, 900),
    scale=st.floats(0.1, 500),
    bias=st.none() | st.floats(-200, 200),
)
def test_probabilities_are_softmax_or_sigmoid(
    photos: int, labels: int, scale: float, bias: float | None
) -> None:
    weights, vectors = random_unit(labels, 8, 1), random_unit(photos, 8, 2)
    classifier = Classifier(tuple(map(str, range(labels))), weights, scale, bias)
    before = vectors.copy()
    probabilities = classifier.probabilities(vectors)
    cosines = vectors.astype(np.float64) @ weights.T.astype(np.float64)
    logits = scale * cosines
    if bias is None:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        expected = powers / powers.sum(axis=1, keepdims=True)
        assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-5
    else:
        expected = 1 / (1 + np.exp(np.clip(-logits - bias, None, 700)))
    assert probabilities.shape == (photos, labels) and probabilities.dtype == np.float32
    assert np.abs(probabilities - expected).max() < 1e-6 * max(scale, abs(bias or 0), 1)
    assert np.abs(classifier.cosines(vectors) - cosines).max() < 1e-6
    assert np.array_equal(vectors, before)
    assert classifier.scoring == ("softmax" if bias is None else "sigmoid")


def test_templates_are_averaged_and_normalised(encoder: Encoder) -> None:
    classifier = Classifier.from_labels(LABELS, encoder, TWO)
    for label, weight in zip(LABELS, classifier.weights, strict=True):
        vectors = encoder.encode_texts([f"a photo of {label}.", f"{label} in the snow"])
        mean = vectors[0] / 2 + vectors[1] / 2
        assert np.allclose(weight, mean / np.linalg.norm(mean), atol=1e-6)
    assert classifier.labels == LABELS and classifier.logit_scale == 100


@pytest.mark.parametrize("templates", ["plain", "imagenet"])
@pytest.mark.slow
def test_many_labels_are_embedded_in_their_order(encoder: Encoder, templates: str) -> None:
    count = 2500 if templates == "plain" else 60  # of both, several rounds
    labels = [f"thing {number}" for number in range(count)]
    classifier = Classifier.from_labels(labels, encoder, load_templates(templates))
    for number in (0, 11, 12, 13, count // 2, count - 1):
        one = Classifier.from_labels([labels[number], "else"], encoder, load_templates(templates))
        assert np.allclose(classifier.weights[number], one.weights[0], atol=1e-6)


def test_labels_are_embedded_once(library: Library, encoder: Encoder, tmp_path: Path) -> None:
    from clipsight.search.label_embeddings import LabelCache

    cache, counting = LabelCache(tmp_path), Counting(encoder)
    first = Classifier.from_labels(LABELS, counting, TWO, cache)  # type: ignore[arg-type]
    assert len(counting.texts) == 6
    again = Classifier.from_labels(LABELS[::-1], counting, TWO, cache)  # type: ignore[arg-type]
    assert len(counting.texts) == 6 and np.array_equal(again.weights, first.weights[::-1])
    Classifier.from_labels(("a dog", "a bird"), counting, TWO, cache)  # type: ignore[arg-type]
    assert counting.texts[6:] == TWO.fill("a bird")
    Classifier.from_labels(LABELS, counting, TemplateSet("one", TWO.templates[:1]), cache)  # type: ignore[arg-type]
    assert len(counting.texts) == 11
    np.testing.assert_allclose(Classifier.from_labels(LABELS, encoder, TWO).weights, first.weights, atol=1e-6)


def test_label_embeddings_are_cached_for_each_model(tmp_path: Path, tiny_model: Path) -> None:
    from clipsight.search.label_embeddings import LabelCache

    other = Encoder(ModelFolder.read(make_model_folder(tmp_path / "other", seed=7)))
    encoder, cache = Encoder(ModelFolder.read(tiny_model)), LabelCache(tmp_path)
    first = Classifier.from_labels(LABELS, encoder, TWO, cache)
    second = Classifier.from_labels(LABELS, other, TWO, cache)
    np.testing.assert_allclose(second.weights, Classifier.from_labels(LABELS, other, TWO).weights, atol=1e-6)
    assert not np.allclose(first.weights, second.weights, atol=1e-3)


@given(st.integers(1, 30), st.integers(2, 40), st.integers(1, 50), st.integers(0, 3))
def test_best_labels_are_a_stable_sort(photos: int, labels: int, count: int, decimals: int) -> None:
    probabilities = np.random.default_rng(labels).random((photos, labels), np.float32).round(decimals)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    assert np.array_equal(best_labels(probabilities, count), order)


def test_library_classifies_files_folders_and_everything(library: Library, photos: Path) -> None:
    (photos / "letter.jpg").write_text("no photo")
    library.index(photos)
    whole = {p.path: p for p in library.classify(LABELS)}
    assert set(whole) == {photos / name for name in SAMPLES}
    assert {p.path: p.label for p in library.classify(LABELS, photos)} == {
        path: p.label for path, p in whole.items()
    }
    one = next(iter(library.classify(LABELS, photos / "cat.png")))
    assert one.id == whole[photos / "cat.png"].id != 0
    np.testing.assert_allclose(one.probabilities, whole[photos / "cat.png"].probabilities, atol=1e-5)
    assert one.label == LABELS[int(one.probabilities.argmax())]
    assert one.probability == pytest.approx(one.probabilities.max())
    vector = library.encoder.encode_texts(LABELS)
    photo = next(chunk for chunk in library.embeddings(photos)).vectors
    expected = np.exp(100 * (photo @ vector.T))
    found = next(library.classify(LABELS, photos).chunks)
    assert np.allclose(found.probabilities, expected / expected.sum(axis=1, keepdims=True), atol=1e-4)


def test_failures_have_reasons(library: Library, photos: Path) -> None:
    (photos / "letter.jpg").write_text("no photo")
    (photos.parent / "beside").mkdir()
    (photos.parent / "beside" / "other.jpg").write_text("no photo either")
    library.index(photos, photos.parent / "beside")

    def failures(*sources: Path) -> dict[str, str]:
        chunks = library.classify(LABELS, *sources).chunks
        return {path.name: reason for chunk in chunks for path, reason in chunk.failures}

    assert list(failures(photos)) == ["letter.jpg"] and "text" in failures(photos)["letter.jpg"]
    assert set(failures()) == {"letter.jpg", "other.jpg"}
    assert list(failures(photos / "cat.png")) == []
    assert list(failures(photos / "letter.jpg", photos / "cat.png")) == ["letter.jpg"]
    with pytest.raises(LibraryError, match="has not been indexed"):
        library.classify(LABELS, "/usr")


def test_indexed_photos_are_not_decoded_again(
    library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(photos)
    monkeypatch.setattr(Encoder, "encode_pixels", lambda *_, **__: pytest.fail("a photo was embedded again"))
    assert len(list(library.classify(LABELS, photos))) == 8
    assert len(list(library.classify(LABELS, *photos.iterdir()))) == 8


def test_siglip_models_score_labels_independently(tmp_path: Path, photos: Path) -> None:
    model = make_model_folder(tmp_path / "siglip", clipsight={"logit_scale": 10.0, "logit_bias": -3.0})
    with Library.open(tmp_path / "library", model=str(model)) as library:
        library.index(photos)
        result = library.classify(LABELS)
        (chunk,) = [chunk for chunk in result.chunks if len(chunk)]
        cosines = next(library.embeddings()).vectors @ library.encoder.encode_texts(LABELS).T
    assert result.classifier.scoring == "sigmoid" and not result.logit_scale_assumed
    assert np.allclose(chunk.probabilities, 1 / (1 + np.exp(3 - 10 * cosines)), atol=1e-5)


def test_truncated_labels_are_noted(library: Library, photos: Path) -> None:
    long = "word " * 100
    result = library.classify(["a cat", long], photos / "cat.png")
    assert len(result.notes) == 1 and "77 tokens: word word" in result.notes[0]
    assert library.classify(["a cat", "x" * 69], photos / "cat.png").notes == ()


def test_labels_are_checked(library: Library) -> None:
    for labels in (["a"], ["a", "a"], ["a", " "]):
        with pytest.raises(LabelError):
            library.classify(labels)
    with pytest.raises(LabelError, match="no templates"):
        library.classify(LABELS, templates="imagnet")


def test_arguments_are_photos_or_texts(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = split_arguments(["photos/cat.png", "a cat.", "photos", "x" * 5000, "a\0b", "1/2 of it"])
    assert found == ([Path("photos/cat.png"), Path("photos")], ["a cat.", "x" * 5000, "a\0b", "1/2 of it"])
    for argument in (
        "cat.png",
        "./cat",
        "../x",
        "/nowhere",
        "~/nowhere-at-all",
        "photos/dog.JPG",
        "caf\udce9.png",
    ):
        with pytest.raises(LabelError, match="no such photo or folder"):
            split_arguments([argument])
    with pytest.raises(LabelError, match="download"):
        split_arguments(["https://example.org/cat.png"])


@pytest.mark.parametrize("templates", ["plain", "simple"])
@pytest.mark.slow
def test_builtin_model_classifies_real_photos(tmp_path: Path, templates: str) -> None:
    names = {
        "cat.png": "cat",
        "coffee.png": "cup of coffee",
        "motorcycle.png": "motorcycle",
        "rocket.jpg": "rocket",
    }
    labels = [*names.values(), "dog", "forest"]
    with Library.open(tmp_path / "library", model="builtin") as library:
        result = library.classify(labels, *(SAMPLES[name] for name in names), templates=templates)
        assert [prediction.label for prediction in result] == list(names.values())

"""The builtin model: complete, small, quick to open, and right on photos that it was not trained on."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from tests.support.samples import package_folder

FOLDER = Path(__file__).parents[2] / "src" / "clipsight" / "models" / "builtin"
_SKIMAGE = package_folder("skimage") / "data"
_SKLEARN = package_folder("sklearn") / "datasets" / "images"
ALBUM = {
    "astronaut": _SKIMAGE / "astronaut.png",
    "brick": _SKIMAGE / "brick.png",
    "camera": _SKIMAGE / "camera.png",
    "cat": _SKIMAGE / "chelsea.png",
    "coffee": _SKIMAGE / "coffee.png",
    "coins": _SKIMAGE / "coins.png",
    "galaxies": _SKIMAGE / "hubble_deep_field.jpg",
    "grass": _SKIMAGE / "grass.png",
    "moon": _SKIMAGE / "moon.png",
    "motorcycle": _SKIMAGE / "motorcycle_left.png",
    "page": _SKIMAGE / "page.png",
    "retina": _SKIMAGE / "retina.jpg",
    "rocket": _SKIMAGE / "rocket.jpg",
    "temple": _SKLEARN / "china.jpg",
    "flower": _SKLEARN / "flower.jpg",
}
KNOWN_WEAK = "flowers and grey textures of grass and stars lie close together; no astronaut was ever learnt"
"""What the model before this one found by a hair; it is told in the model card."""
KNOWN_WEAK_ABROAD = "a word that means another thing in English, and rare ones, are not learnt yet"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(ModelFolder.read(FOLDER))


@pytest.fixture(scope="module")
def album(encoder: Encoder) -> np.ndarray:
    """float32[photos, dim], in the order of ALBUM."""
    images = []
    for path in ALBUM.values():
        with Image.open(path) as image:
            images.append(image.convert("RGB"))
    return encoder.encode_images(images)


def _ranked(encoder: Encoder, album: np.ndarray, query: str) -> list[str]:
    order = np.argsort(-(album @ encoder.encode_texts([query])[0]))
    return [list(ALBUM)[i] for i in order]


@pytest.mark.parametrize(
    ("query", "photo"),
    [
        ("a cat", "cat"),
        ("a kitten looking at the camera", "cat"),
        ("a cup of coffee", "coffee"),
        ("espresso on a wooden table", "coffee"),
        ("a motorcycle", "motorcycle"),
        ("a motorbike in a garage", "motorcycle"),
        ("a rocket launch", "rocket"),
        ("a man with a camera on a tripod", "camera"),
        ("a temple in china", "temple"),
        ("an old building with a roof", "temple"),
        ("printed text", "page"),
        ("a brick wall", "brick"),
        ("coins", "coins"),
        ("stars in the night sky", "galaxies"),
        ("grass", "grass"),
        *(
            pytest.param(query, photo, marks=pytest.mark.xfail(strict=True, reason=KNOWN_WEAK))
            for query, photo in (
                ("an astronaut in a space suit", "astronaut"),
                ("a red blossom in a garden", "flower"),
                ("green grass", "grass"),
            )
        ),
    ],
)
def test_query_finds_its_photo_first(encoder: Encoder, album: np.ndarray, query: str, photo: str) -> None:
    assert _ranked(encoder, album, query)[0] == photo


@pytest.mark.parametrize(
    ("query", "photo"),
    [
        ("一只猫", "cat"),
        ("貓", "cat"),
        ("一杯咖啡", "coffee"),
        ("摩托车", "motorcycle"),
        ("硬币", "coins"),
        ("砖墙", "brick"),
        ("我的 coffee", "coffee"),
        ("猫の写真", "cat"),
        ("コーヒー", "coffee"),
        ("고양이", "cat"),
        ("eine Katze", "cat"),
        ("ein Motorrad", "motorcycle"),
        ("une tasse de café", "coffee"),
        ("une moto", "motorcycle"),
        ("un gato", "cat"),
        ("uma motocicleta", "motorcycle"),
        ("una tazza di caffè", "coffee"),
        ("кошка", "cat"),
        ("فنجان قهوة", "coffee"),
        *(
            pytest.param(query, photo, marks=pytest.mark.xfail(strict=True, reason=KNOWN_WEAK_ABROAD))
            for query, photo in (
                ("un chat", "cat"),
                ("мотоцикл", "motorcycle"),
                ("eine Ziegelmauer", "brick"),
            )
        ),
    ],
)
def test_a_query_in_another_language_finds_its_photo_first(
    encoder: Encoder, album: np.ndarray, query: str, photo: str
) -> None:
    assert _ranked(encoder, album, query)[0] == photo


def test_libraries_of_the_edition_in_english_alone_stay_valid() -> None:
    """The text side grew, the image tower is the same file: the photos' vectors are those of that edition."""
    folder = ModelFolder.read(FOLDER)
    assert folder.fingerprint() == "53957ad09de14e99616587ab61df6e86"
    assert folder.content_hash() != folder.fingerprint()


def test_the_languages_are_those_whose_figures_were_measured() -> None:
    folder = ModelFolder.read(FOLDER)
    table = folder.figures["test"]["table"]
    assert folder.is_multilingual
    assert set(folder.languages) == set(table["one-word queries"])
    assert all(words["in_first_five"] >= 70 for words in table["one-word queries"].values())
    for language in ("Chinese", "German", "French", "Arabic"):
        got = table[f"Flickr8k, {language}, R@1/5/10"]
        assert all(each >= least for each, least in zip(got, (10, 28, 40), strict=True)), language


def test_a_flower_and_grass_lie_close_together(encoder: Encoder, album: np.ndarray) -> None:
    """Which of the two is first for "a flower" is a matter of rounding; the card tells."""
    assert set(_ranked(encoder, album, "a flower")[:2]) == {"flower", "grass"}


def test_zero_shot_predictions_are_right_with_high_probability(encoder: Encoder, album: np.ndarray) -> None:
    texts = encoder.encode_texts(
        ["a photo of a cat", "a photo of a dog", "a photo of a horse", "a photo of a car"]
    )
    logits = encoder.logit_scale * texts @ album[list(ALBUM).index("cat")]
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    assert chances.argmax() == 0
    assert chances[0] > 0.5


def test_embeddings_are_unit_float32(encoder: Encoder, album: np.ndarray) -> None:
    texts = encoder.encode_texts(["a dog", ""])
    for vectors in (album, texts):
        assert vectors.dtype == np.float32
        assert vectors.shape[1] == encoder.dim
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(vectors)), abs=1e-5)


def test_padding_does_not_change_vectors(encoder: Encoder) -> None:
    alone = encoder.encode_texts(["a dog"])[0]
    beside = encoder.encode_texts(
        ["a dog", "a very long caption of many things that pads the other one " * 2]
    )[0]
    assert beside == pytest.approx(alone, abs=1e-5)


def test_batch_and_single_photo_agree(encoder: Encoder, album: np.ndarray) -> None:
    with Image.open(ALBUM["cat"]) as image:
        single = encoder.encode_images([image.convert("RGB")])[0]
    assert single == pytest.approx(album[list(ALBUM).index("cat")], abs=1e-4)


def test_a_text_of_77_tokens_is_not_truncated(encoder: Encoder) -> None:
    assert encoder.folder.context_length >= 64
    assert encoder.truncated(["dog " * 75, "dog " * 80]) == (False, True)


def test_the_builtin_folder_is_small_and_has_metadata() -> None:
    folder = ModelFolder.read(FOLDER)
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= 48_000_000
    assert folder.name == "builtin"
    assert 256 <= folder.embed_dim <= 768
    assert not folder.logit_scale_assumed
    assert folder.logit_bias is None
    assert folder.license
    assert folder.provenance


def test_figures_of_the_builtin_model_reach_their_goals() -> None:
    """The card's figures on photos that no step of the recipe saw; `recipes.builtin.evaluate` gives them."""
    figures = json.loads((FOLDER / "config.json").read_text())["clipsight"]["figures"]["test"]
    for name, floor in (("flickr_1000_photos", (26, 55, 67)), ("coco_100_photos", (50, 0, 94))):
        for way in ("text_to_image", "image_to_text"):
            assert all(got >= least for got, least in zip(figures[name][way], floor, strict=True)), (
                name,
                way,
            )
    assert figures["colour_first_of_ten"] >= 45
    assert figures["clothing_zero_shot"] >= 55
    assert figures["clothing_probe"]["16_shot"] >= 75
    assert figures["clothing_probe"]["all"] >= 85
    assert figures["calibration_error"] <= 5


@pytest.mark.xfail(strict=True, reason="the scale fitted on dev photos is 0.8 points worse on the test's")
def test_the_fitted_scale_is_no_worse_than_the_learned_one() -> None:
    figures = json.loads((FOLDER / "config.json").read_text())["clipsight"]["figures"]["test"]
    assert figures["calibration_error"] <= figures["calibration_error_before"]


@pytest.mark.slow
def test_graphs_have_the_specified_inputs_and_outputs() -> None:
    import onnxruntime

    visual = onnxruntime.InferenceSession(FOLDER / "visual" / "model.onnx")
    textual = onnxruntime.InferenceSession(FOLDER / "textual" / "model.onnx")
    (image,), (text,) = visual.get_inputs(), textual.get_inputs()
    assert (image.name, image.type, image.shape[1]) == ("image", "tensor(float)", 3)
    assert isinstance(image.shape[0], str)
    assert (text.name, text.type) == ("text", "tensor(int32)")
    assert all(isinstance(size, str) for size in text.shape)

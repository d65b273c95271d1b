"""Pixels equal to transformers' processor for `shortest`, to OpenCLIP's rule, restated, for the others."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from clipsight.core.errors import ModelError
from clipsight.models.preprocess import OPENAI_MEAN, OPENAI_STD, PreprocessConfig, normalise, resize_and_crop
from tests.support.properties import examples
from tests.support.samples import package_folder

PHOTOS = sorted(
    [
        *(package_folder("skimage") / "data").glob("*.[jp][pn]g"),
        *(package_folder("sklearn") / "datasets" / "images").glob("*.jpg"),
    ]
)
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def tensor(image: Image.Image, config: PreprocessConfig) -> np.ndarray:
    return normalise(resize_and_crop(image, config), config)


def transformers_tensor(image: Image.Image, size: int = 224, interpolation: str = "bicubic") -> np.ndarray:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil  # and PyTorch

    processor = CLIPImageProcessorPil(
        size={"shortest_edge": size},
        crop_size={"height": size, "width": size},
        resample=FILTERS[interpolation],
    )
    return np.asarray(processor(image, return_tensors="np")["pixel_values"][0])


def levels(difference: np.ndarray) -> float:
    """The largest difference of two tensors, in 1/255 of a colour value."""
    scaled = np.abs(difference) * np.array(OPENAI_STD, np.float64).reshape(3, 1, 1) * 255
    return float(scaled.max())


@pytest.mark.torch
@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.name)
def test_photos_equal_transformers_exactly(photo: Path) -> None:
    image = Image.open(photo).convert("RGB")
    assert levels(tensor(image, PreprocessConfig()) - transformers_tensor(image)) < 1e-3


@pytest.mark.torch
@examples(60)
@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    size=st.sampled_from([7, 32, 224]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
)
@example(width=1, height=1, size=224, interpolation="bicubic")
@example(width=225, height=224, size=224, interpolation="bicubic")
@example(width=224, height=227, size=224, interpolation="bicubic")
@example(width=3, height=48, size=32, interpolation="bicubic")
def test_any_shape_equals_transformers_within_one_level(
    width: int, height: int, size: int, interpolation: str
) -> None:
    image = noise(width, height)
    config = PreprocessConfig(size=(size, size), interpolation=interpolation)
    difference = levels(tensor(image, config) - transformers_tensor(image, size, interpolation))
    whole = max(width, height) <= 16 * min(width, height)
    assert difference < (1e-3 if whole else 1.001)


@pytest.mark.torch
@pytest.mark.parametrize(("width", "height"), [(5000, 3), (2, 4001), (3001, 40)])
def test_a_very_long_photo_equals_transformers_within_one_level(width: int, height: int) -> None:
    image = noise(width, height)
    config = PreprocessConfig(size=(64, 64))
    assert levels(tensor(image, config) - transformers_tensor(image, 64)) < 1.001


def test_a_strip_that_would_take_150_gigabytes_to_resize() -> None:
    pixels = resize_and_crop(noise(1, 1_000_000), PreprocessConfig())
    assert pixels.shape == (224, 224, 3)
    assert pixels.std() > 1


@pytest.mark.parametrize("size", [(32, 32), (20, 44)])
@pytest.mark.parametrize(("width", "height"), [(100, 50), (50, 101), (8, 9), (32, 32), (1, 500)])
@pytest.mark.parametrize("interpolation", sorted(FILTERS))
def test_squash_is_a_plain_resize(width: int, height: int, size: tuple[int, int], interpolation: str) -> None:
    image = noise(width, height)
    config = PreprocessConfig(size=size, resize_mode="squash", interpolation=interpolation)
    expected = np.asarray(image.resize((size[1], size[0]), FILTERS[interpolation]))
    np.testing.assert_array_equal(resize_and_crop(image, config), expected)


@pytest.mark.parametrize("size", [(32, 32), (20, 44), (45, 20)])
@pytest.mark.parametrize(("width", "height"), [(100, 50), (50, 101), (8, 9), (32, 32), (64, 63), (61, 64)])
def test_longest_fits_the_photo_and_fills_the_rest(width: int, height: int, size: tuple[int, int]) -> None:
    image = noise(width, height)
    colour = (9, 120, 255)
    config = PreprocessConfig(size=size, resize_mode="longest", fill_color=colour)
    # OpenCLIP: divide both sides by the larger ratio, round; pad the two sides, the odd pixel at the end.
    ratio = max(width / size[1], height / size[0])
    inner = image.resize((round(width / ratio), round(height / ratio)), Image.Resampling.BICUBIC)
    expected = Image.new("RGB", (size[1], size[0]), colour)
    expected.paste(inner, ((size[1] - inner.width) // 2, (size[0] - inner.height) // 2))
    np.testing.assert_array_equal(resize_and_crop(image, config), np.asarray(expected))


def test_longest_keeps_at_least_one_pixel_of_a_very_thin_photo() -> None:
    config = PreprocessConfig(size=(32, 32), resize_mode="longest", fill_color=(0, 0, 0))
    pixels = resize_and_crop(Image.new("RGB", (5000, 1), "white"), config)
    assert [int(row.min()) for row in pixels].count(255) == 1


@pytest.mark.parametrize(("width", "height"), [(100, 50), (50, 101), (8, 9), (45, 20), (44, 21)])
def test_shortest_covers_a_target_that_is_not_square(width: int, height: int) -> None:
    image = noise(width, height)
    config = PreprocessConfig(size=(20, 44))
    ratio = min(width / 44, height / 20)
    inner = image.resize((round(width / ratio), round(height / ratio)), Image.Resampling.BICUBIC)
    left, top = (inner.width - 44) // 2, (inner.height - 20) // 2
    expected = np.asarray(inner.crop((left, top, left + 44, top + 20)))
    np.testing.assert_array_equal(resize_and_crop(image, config), expected)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_other_modes_are_converted(mode: str) -> None:
    image = noise(40, 30).convert(mode)
    config = PreprocessConfig(size=(16, 16))
    np.testing.assert_array_equal(
        resize_and_crop(image, config), resize_and_crop(image.convert("RGB"), config)
    )


def test_normalise_equals_the_formula_for_all_values_and_shapes() -> None:
    config = PreprocessConfig(mean=(0.1, 0.5, 0.9), std=(0.2, 1.0, 3.0))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 64, 48, 3), np.uint8)
    pixels[0, 0, :, :4, :] = np.arange(256, dtype=np.uint8).reshape(64, 4, 1)
    expected = (np.moveaxis(pixels / 255.0, -1, -3) - np.reshape(config.mean, (3, 1, 1))) / np.reshape(
        config.std, (3, 1, 1)
    )
    result = normalise(pixels, config)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected.astype(np.float32))


def test_normalise_fills_a_given_array() -> None:
    pixels = np.asarray(noise(8, 8))[None]
    out = np.empty((1, 3, 8, 8), np.float32)
    assert normalise(pixels, PreprocessConfig(), out) is out
    np.testing.assert_array_equal(out, normalise(pixels, PreprocessConfig()))


def test_an_empty_object_has_openclips_defaults() -> None:
    assert PreprocessConfig.from_dict({}) == PreprocessConfig()
    assert PreprocessConfig.from_dict({"mean": None, "unheard_of": 1}) == PreprocessConfig()
    assert PreprocessConfig().mean == OPENAI_MEAN


def test_published_values_are_read() -> None:
    config = PreprocessConfig.from_dict(
        {
            "size": [256, 320],
            "mode": "RGB",
            "mean": [0, 0.5, 1],
            "std": [1, 0.5, 0.25],
            "interpolation": "bilinear",
            "resize_mode": "longest",
            "fill_color": 127,
        }
    )
    assert config == PreprocessConfig(
        (256, 320), "RGB", (0.0, 0.5, 1.0), (1.0, 0.5, 0.25), "bilinear", "longest", (127, 127, 127)
    )
    assert PreprocessConfig.from_dict({"size": 240}).size == (240, 240)
    assert PreprocessConfig.from_dict({"mean": 0.5}).mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("interpolation", "lanczos", "bicubic, bilinear"),
        ("resize_mode", "crop", "shortest, squash, longest"),
        ("mode", "L", "RGB"),
        ("size", "224", "[height, width]"),
        ("size", [224, 0], "[height, width]"),
        ("size", [1, 2, 3], "[height, width]"),
        ("size", True, "[height, width]"),
        ("mean", [0.5, 0.5], "three"),
        ("mean", "grey", "three"),
        ("mean", [0.5, float("nan"), 0.5], "three"),
        ("std", [0.5, 0.0, 0.5], "above 0"),
        ("fill_color", 256, "0 to 255"),
        ("fill_color", [1, 2], "0 to 255"),
    ],
)
def test_invalid_values_are_refused_with_the_name_of_the_field(field: str, value: object, says: str) -> None:
    with pytest.raises(ModelError) as caught:
        PreprocessConfig.from_dict({field: value})
    assert repr(field) in str(caught.value)
    assert says in str(caught.value)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = SCALARS | st.lists(SCALARS, max_size=4) | st.dictionaries(st.text(max_size=8), SCALARS, max_size=2)


@given(st.dictionaries(st.sampled_from(list(PreprocessConfig.__dataclass_fields__)), VALUES))
@examples(30)
def test_any_object_is_read_or_refused(fields: dict[str, object]) -> None:
    try:
        PreprocessConfig.from_dict(fields)
    except ModelError as error:
        assert "\n" not in str(error)

"""Photos as Python callers give them: every form of one photo has the same pixels."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipsight.core.errors import PhotoError
from clipsight.indexing.media.photo import open_picture
from clipsight.indexing.media.picture import Picture, folders_and_pictures, pictures, several
from tests.support.photo_files import TURNABLE, corners, encode, quadrants, turned

NEEDS_PILLOWS_PLUGIN = "HEIF"


def rgb(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


FORMS: dict[str, Callable[[Path], Any]] = {
    "str": str,
    "Path": Path,
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "file": lambda path: path.open("rb"),
    "image": Image.open,
    "pixels": lambda path: np.asarray(Image.open(path).convert("RGB")),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_photo_has_its_pixels(form: str, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(encode("PNG"))
    given = FORMS[form](file)
    picture = Picture.of(given)
    np.testing.assert_array_equal(rgb(picture.open()), rgb(open_picture(file)))
    assert picture.name == (
        "photo" if form in ("bytes", "bytearray", "memoryview", "BytesIO", "pixels") else str(file)
    )
    assert picture.path == Path(picture.name)
    if hasattr(given, "close"):
        given.close()


@pytest.mark.parametrize("format_", [each for each in TURNABLE if each != NEEDS_PILLOWS_PLUGIN])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_an_opened_image_is_turned_upright(format_: str, orientation: int) -> None:
    with Image.open(io.BytesIO(turned(format_, orientation))) as image:
        upright = Picture.of(image).open()
        assert (corners(upright), upright.size) == ("RGBY", quadrants().size)
        assert corners(Picture.of(image).open()) == "RGBY"  # again: the image is as it was


def test_transparency_and_colour_profiles_are_those_of_files(tmp_path: Path) -> None:
    from PIL import ImageCms

    picture = quadrants().convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    for name, image, options in (
        ("a.png", picture, {}),
        ("p.png", quadrants().quantize(8), {"transparency": 0}),
        ("x.png", quadrants(), {"icc_profile": swapped}),
    ):
        image.save(tmp_path / name, **options)
        with Image.open(tmp_path / name) as opened:
            np.testing.assert_array_equal(rgb(Picture.of(opened).open()), rgb(open_picture(tmp_path / name)))
    np.testing.assert_array_equal(
        rgb(Picture.of(np.asarray(picture)).open()), rgb(open_picture(tmp_path / "a.png"))
    )


def test_grey_pixels_and_images_of_any_mode() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    expected = np.stack([grey] * 3, axis=2)
    np.testing.assert_array_equal(rgb(Picture.of(grey).open()), expected)
    np.testing.assert_array_equal(rgb(Picture.of(grey[:, ::-1].T).open()), expected[:, ::-1].swapaxes(0, 1))
    for mode in ("L", "1", "LA", "CMYK", "I", "F", "I;16"):
        assert rgb(Picture.of(Image.new(mode, (5, 3))).open()).shape == (3, 5, 3)


def test_pixels_are_those_at_the_call() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    picture = Picture.of(pixels)
    pixels[:] = 255
    assert rgb(picture.open()).max() == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_a_vector_is_scaled_to_unit_length(dtype: type[np.floating[Any]]) -> None:
    given = np.array([3, 0, -4], dtype)
    vector = Picture.of(given).vector_of("model", 3)
    assert vector is not None and vector.dtype == np.float32
    np.testing.assert_allclose(vector, [0.6, 0, -0.8], atol=1e-3)
    with pytest.raises(PhotoError, match=r"^photo has 3 numbers, a vector of model has 512$"):
        Picture.of(given).vector_of("model", 512)
    with pytest.raises(PhotoError, match="a vector has no pixels"):
        Picture.of(given).open()
    assert Picture.of("a.jpg").vector_of("model", 512) is None


def test_large_and_small_numbers_do_not_overflow() -> None:
    for scale in (1e300, 1e-300):
        vector = Picture.of(np.array([3, 4]) * scale).vector
        np.testing.assert_allclose(vector, [0.6, 0.8], rtol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (3, "photo is of type int: give a path, bytes"),
        (None, "photo is of type NoneType"),
        ([1.0], "photo is of type list"),
        ("", "an empty path"),
        (io.StringIO("text"), "a file of text"),
        (np.zeros((4, 4, 3)), r"an array float64\[4, 4, 3\]: pixels are uint8"),
        (np.zeros((4, 4), np.int64), r"an array int64\[4, 4\]"),
        (np.zeros((4, 4, 3), np.uint16), r"an array uint16\[4, 4, 3\]"),
        (np.zeros((4, 4), np.bool_), r"an array bool\[4, 4\]"),
        (np.zeros((3, 4, 5), np.uint8), r"an array uint8\[3, 4, 5\]"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"an array uint8\[2, 4, 4, 3\]"),
        (np.zeros(5, np.uint8), r"an array uint8\[5\]"),
        (np.array(3.0), r"an array float64\[\]"),
        (np.zeros((0, 4, 3), np.uint8), "an empty array"),
        (np.array([]), "an empty array"),
        (np.zeros(5), "zero or not finite"),
        (np.array([1, np.nan]), "zero or not finite"),
        (np.array([1, -np.inf]), "zero or not finite"),
        (np.array(["a"]), "an array <U1"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_photo_is_told_in_one_line(given: Any, says: str) -> None:
    with pytest.raises(PhotoError, match=says) as caught:
        Picture.of(given)
    assert "\n" not in str(caught.value)


class Tensor:
    """An array of another library, such as PyTorch's: on the CPU, or not."""

    def __init__(self, values: np.ndarray | None) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.values is None:
            raise TypeError("can't convert cuda:0 device type tensor to numpy.\nUse Tensor.cpu().")
        return self.values


def test_arrays_of_other_libraries() -> None:
    assert Picture.of(Tensor(np.ones(4, np.float32))).vector is not None  # type: ignore[arg-type]
    with pytest.raises(PhotoError, match=r"can't be read as an array: can't convert cuda:0 .* to numpy\.$"):
        Picture.of(Tensor(None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given", [b"", b"Dear Sir or Madam", Path("nowhere.jpg"), "a\0b", "~nobody-at-all/x.jpg", "x" * 5000, "."]
)
def test_what_can_not_be_read_is_told_when_it_is_opened(given: Any) -> None:
    with pytest.raises(PhotoError) as caught:
        Picture.of(given).open()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_opened_images_that_fail(tmp_path: Path) -> None:
    noise = Image.effect_noise((64, 64), 50)
    (tmp_path / "cut.jpg").write_bytes(encode("JPEG", noise)[:-500])
    with Image.open(tmp_path / "cut.jpg") as cut, pytest.raises(PhotoError, match="truncated JPEG"):
        Picture.of(cut).open()
    (tmp_path / "whole.jpg").write_bytes(encode("JPEG"))
    closed = Image.open(tmp_path / "whole.jpg")
    closed.close()
    with pytest.raises(PhotoError):
        Picture.of(closed).open()
    bomb = Image.new("1", (20_000, 20_000))
    with pytest.raises(PhotoError, match="400 megapixels, the limit is 250"):
        Picture.of(bomb).open()


def test_an_address_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipsight.indexing.media.fetch.fetch", lambda url: encode("PNG"))
    picture = Picture.of("https://example.org/a.png")
    assert (picture.name, corners(picture.open())) == ("https://example.org/a.png", "RGBY")


def test_lists_are_flat_and_one_photo_is_one_item(tmp_path: Path) -> None:
    pixels, vectors = np.zeros((2, 4, 4, 3), np.uint8), np.ones((3, 5))
    given = ["ab.jpg", [Path("c.jpg"), pixels[0]], pixels, vectors, vectors[0], iter(["d.jpg"])]
    names = [picture.name for picture in pictures(given)]
    assert names == ["ab.jpg", "c.jpg", "photo 3", *(f"photo {n}" for n in range(4, 10)), "d.jpg"]
    assert several("ab", "add") == ["ab"] and several(("a", "b"), "add") == ["a", "b"]
    with pytest.raises(PhotoError, match=r"^`photos` is of type int: give a path, .* or several$"):
        pictures([3])  # type: ignore[list-item]


def test_folders_are_told_from_photos(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    image = Image.new("RGB", (4, 4))
    folders, rest = folders_and_pictures([str(tmp_path / "a"), image, tmp_path / "b.jpg", "x" * 5000, "a\0b"])
    assert folders == [tmp_path / "a"]
    assert [each.name for each in rest] == ["photo 2", str(tmp_path / "b.jpg"), "x" * 5000, "a\0b"]

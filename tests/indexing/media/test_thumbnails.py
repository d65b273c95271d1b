"""Thumbnails of photos of any kind."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsight.indexing.media.picture import Picture, pictures
from clipsight.indexing.media.thumbnails import data_uri, thumbnails
from clipsight.search.results import Match
from tests.support.samples import SAMPLES


def test_thumbnails_come_in_order_and_small(tmp_path: Path) -> None:
    pixels = np.zeros((300, 100, 3), np.uint8)
    cat_file = SAMPLES["cat.png"].read_bytes()
    given = pictures([SAMPLES["temple.jpg"], tmp_path / "gone.jpg", pixels, cat_file, np.ones(3)])
    temple, reason, black, cat, vector = thumbnails(given, (40, 40))
    assert isinstance(temple, Image.Image) and temple.size == (40, 27)
    assert isinstance(cat, Image.Image) and cat.size == (40, 27)
    assert isinstance(black, Image.Image) and black.size == (13, 40)
    assert reason == "can't be read: No such file or directory"
    assert isinstance(vector, str) and "no pixels" in vector


def test_small_photos_are_not_enlarged_and_images_not_changed() -> None:
    given = Image.new("RGB", (80, 60), "red")
    (large,), (small,) = (thumbnails([Picture.of(given)], (side, side)) for side in (100, 20))
    assert isinstance(large, Image.Image) and isinstance(small, Image.Image)
    assert (large.size, small.size, given.size) == ((80, 60), (20, 15), (80, 60))


def test_photos_larger_than_usual_that_the_library_took_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipsight.indexing.media.picture.DEFAULT_MAX_PIXELS", 100)
    photo = tmp_path / "large.png"
    Image.new("RGB", (30, 20), "blue").save(photo)
    known = Match(photo, 0.2, 1, 30, 20, None, None, 1, True)
    unknown = Match(photo, 0.2, 1, None, None, None, None, 1, True)
    shown, refused = thumbnails([known.picture, unknown.picture], (100, 100))
    assert isinstance(shown, Image.Image)
    assert isinstance(refused, str) and "too large" in refused


def test_an_image_as_an_address() -> None:
    kind, data = data_uri(Image.new("RGB", (8, 6), "red")).split(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (8, 6)

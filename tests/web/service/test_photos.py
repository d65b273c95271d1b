"""Single photos: small, upright, without metadata, and only while their files are unchanged."""

import shutil
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from clipsight import Library
from clipsight.core.errors import (
    NotFoundError,
)
from clipsight.web.service.service import Service
from tests.support import photo_files
from tests.support.samples import SAMPLES
from tests.support.serving import id_of


@pytest.mark.slow
def test_thumbnails_are_small_upright_and_cached(own: Service, tmp_path: Path) -> None:
    photo = id_of(own, "temple.jpg")
    for size, longest in ((1, 160), (320, 320), (321, 640), (5000, 640)):
        made = own.photos.thumbnail(photo, size)
        with Image.open(BytesIO(made.data)) as image:
            assert image.format == "JPEG" and max(image.size) == longest
        assert own.photos.thumbnail(photo, size) == made
    assert own.photos.thumbnail(photo, 160).tag != own.photos.thumbnail(photo, 320).tag


def test_coordinates_are_sent_only_if_requested(tmp_path: Path, tiny_model: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    place = {1: "N", 2: (47.0, 30.0, 0.0), 3: "E", 4: (8.0, 30.0, 0.0)}
    exif = photo_files.exif({0x010F: "SecretCamera"}, gps=place)
    for name, format_ in (("a.jpg", "JPEG"), ("b.png", "PNG"), ("c.webp", "WEBP")):
        Image.new("RGB", (64, 48), "red").save(photos / name, format_, exif=exif)
    with Library.open(tmp_path / "library", model=str(tiny_model)) as library:
        library.index(photos, gps=True)
    with Service(tmp_path / "library") as service:
        for name in ("a.jpg", "b.png", "c.webp"):
            photo = id_of(service, name)
            assert service.photos.details(photo).latitude is None
            assert service.photos.details(photo, location=True).latitude == pytest.approx(47.5)
            sent = (service.photos.file(photo).data, service.photos.thumbnail(photo).data)
            for data in sent:
                with Image.open(BytesIO(data)) as image:
                    assert not image.getexif().get_ifd(0x8825) and b"Secret" not in data
            original = service.photos.file(photo, original=True)
            assert original.data == (photos / name).read_bytes() and original.name == name


def test_a_photo_whose_file_was_deleted_or_changed_is_reported(own: Service, tmp_path: Path) -> None:
    cat, rocket, flower = (id_of(own, name) for name in ("cat.png", "rocket.jpg", "flower.jpg"))
    photos = tmp_path / "photos"
    (photos / "cat.png").unlink()
    secret = tmp_path / "secret.jpg"
    shutil.copyfile(SAMPLES["temple.jpg"], secret)
    (photos / "rocket.jpg").unlink()
    (photos / "rocket.jpg").symlink_to(secret)
    (photos / "flower.jpg").write_bytes(SAMPLES["flower.jpg"].read_bytes()[:-1] + b"x")
    for photo, why in ((cat, "moved or deleted"), (rocket, "changed"), (flower, "changed")):
        for call in (own.photos.thumbnail, own.photos.file, lambda id_: own.photos.file(id_, original=True)):
            with pytest.raises(NotFoundError, match=why):
                call(photo)
    with pytest.raises(NotFoundError, match="search again"):
        own.photos.details(10**6)


def test_a_photo_that_became_a_pipe_does_not_hang(own: Service, tmp_path: Path) -> None:
    import os

    cat = id_of(own, "cat.png")
    (tmp_path / "photos" / "cat.png").unlink()
    os.mkfifo(tmp_path / "photos" / "cat.png")
    with pytest.raises(NotFoundError):
        own.photos.thumbnail(cat)

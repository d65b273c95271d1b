"""EXIF metadata: names in any encoding, dates as far as they are right."""

import pytest

from clipsight.indexing.media.exif import camera_name


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("Apple", "iPhone 15", "Apple iPhone 15"),
        ("小米".encode().decode("latin-1"), "X", "小米 X"),  # Pillow reads every text as Latin-1
        ("小米".encode(), b"X\0rest", "小米 X"),
        (None, "Caméra", "Caméra"),  # Latin-1
        (None, b"Cam\xe9ra", "Caméra"),
        (None, "Came\u0301ra", "Cam\u00e9ra"),
        (None, "Came\u0301ra".encode().decode("latin-1"), "Cam\u00e9ra"),
        ("  ", "\0", None),
        (5, ("x",), None),
    ],
)
def test_names_of_cameras(make: object, model: object, camera: str | None) -> None:
    assert camera_name(make, model) == camera

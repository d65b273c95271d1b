"""The photos that ship in scikit-image and scikit-learn."""

from clipsight.indexing.media.photo import decode
from clipsight.indexing.sample_photos import sample_photos


def test_sample_photos_are_photos() -> None:
    photos = sample_photos()
    names = {photo.name for photo in photos}
    assert len(photos) == len(names) >= 15
    assert names >= {"chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png", "china.jpg", "flower.jpg"}
    assert names >= {"motorcycle_left.png", "motorcycle_right.png", "hubble_deep_field.jpg"}
    assert not names & {"chessboard_GRAY.png", "multipage.tif", "no_time_for_that_tiny.gif", "logo.png"}
    for photo in photos:
        assert min(decode(photo, mtime_ns=0).image.size) >= 256

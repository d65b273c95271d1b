"""Labelled photos for probes."""

from pathlib import Path

import pytest
from PIL import Image

from tests.support.samples import SAMPLES


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of six real pictures: crops of a cat and of a cup of coffee."""
    for name, folder in (("cat.png", "cat"), ("coffee.png", "coffee_cup")):
        (tmp_path / "pets" / folder).mkdir(parents=True)
        with Image.open(SAMPLES[name]) as photo:
            for number in range(6):
                box = (20 * number, 10 * number, 20 * number + 250, 10 * number + 200)
                photo.crop(box).save(tmp_path / "pets" / folder / f"{number}.png")
    return tmp_path / "pets"

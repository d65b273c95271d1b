"""Real photos that ship inside scikit-image and scikit-learn."""

import importlib.util
import shutil
from pathlib import Path

from PIL import Image


def package_folder(name: str) -> Path:
    """Where an installed package lies, found without importing it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


SAMPLES = {
    "astronaut.png": package_folder("skimage") / "data" / "astronaut.png",
    "cat.png": package_folder("skimage") / "data" / "chelsea.png",
    "coffee.png": package_folder("skimage") / "data" / "coffee.png",
    "motorcycle.png": package_folder("skimage") / "data" / "motorcycle_left.png",
    "rocket.jpg": package_folder("skimage") / "data" / "rocket.jpg",
    "galaxies.jpg": package_folder("skimage") / "data" / "hubble_deep_field.jpg",
    "temple.jpg": package_folder("sklearn") / "datasets" / "images" / "china.jpg",
    "flower.jpg": package_folder("sklearn") / "datasets" / "images" / "flower.jpg",
}
"""Real photos that ship inside scikit-image and scikit-learn, by the name tests give them."""


CLASSES = {"cat": "cat.png", "coffee_cup": "coffee.png", "galaxies": "galaxies.jpg"}
"""Class -> the sample photo whose crops are its photos."""


def write_classes(folder: Path, count: int, *, brightness: float = 1.0) -> None:
    """Make `folder` with a folder for each of `CLASSES`, of `count` crops of its photo."""
    for name, sample in CLASSES.items():
        (folder / name).mkdir(parents=True)
        with Image.open(SAMPLES[sample]) as photo:
            for number in range(count):
                box = (20 * number, 10 * number, 20 * number + 250, 10 * number + 200)
                crop = photo.convert("RGB").crop(box).point(lambda value: int(value * brightness))
                crop.save(folder / name / f"{number}.png")


def copy_samples(folder: Path) -> Path:
    """Make `folder` and put the real sample photos there."""
    folder.mkdir()
    for name, source in SAMPLES.items():
        shutil.copyfile(source, folder / name)
    return folder

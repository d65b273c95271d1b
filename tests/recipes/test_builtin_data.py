"""The split is fixed by a seed, sources become captioned photos, a wrong data folder is one clear line."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from clipsight.core.errors import TrainingError
from recipes.builtin import data as sources
from recipes.builtin.errors import RecipeError
from recipes.builtin.everyday import DOCUMENTS, LABELLED, NAMED
from recipes.builtin.words import class_captions, class_words, product_captions
from tests.recipes.builtin_data import write_everyday


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The layout of shared/data with empty photos: nothing here opens one."""
    for part in ("captioned", "products", "clothing/hat", "scenes/sea", "imagenet_samples"):
        (tmp_path / part).mkdir(parents=True)
    with (tmp_path / "captioned" / "captions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["filepath", "caption"])
        for i in range(1700):
            rows.writerows([f"flickr8k_{i}.jpg", f"caption {k} of {i}"] for k in range(2))
    with (tmp_path / "products" / "products.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["filepath", "name", "gender", "article_type", "colour", "season", "usage"])
        rows.writerow(["1.jpg", "Brand Men Navy Tee", "Men", "Tshirts", "Navy Blue", "Fall", "Casual"])
    for name in ("clothing/hat/a.jpg", "scenes/sea/b.jpg"):
        (tmp_path / name).touch()
    for i in range(1000):
        (tmp_path / "imagenet_samples" / f"n{i:08d}_some_class_{i}.jpg").touch()
    return tmp_path


def test_split_depends_on_seed_and_name_alone() -> None:
    names = [f"{i}.jpg" for i in range(3000)]
    split = sources.assign_splits(names, "flickr")
    assert sources.assign_splits(reversed(names), "flickr") == split
    assert Counter(split.values()) == {"test": 1000, "dev": 500, "train": 1500}
    assert sources.assign_splits(names, "flickr", seed=1) != split


def test_split_of_shared_seed_is_the_published_one() -> None:
    # Held-out photos must stay held out: a change of the hash or the seed shows here.
    split = sources.assign_splits([f"{i}.jpg" for i in range(1600)], "flickr")
    assert [name for name in sorted(split) if split[name] == "train"][:4] == [
        "10.jpg",
        "1015.jpg",
        "1017.jpg",
        "1021.jpg",
    ]


@pytest.mark.slow
def test_every_photo_has_captions_and_one_split(folder: Path) -> None:
    photos = sources.load_photos(folder)
    assert len(photos) == 1700 + 1 + 1 + 1 + 1000
    assert len({photo.path for photo in photos}) == len(photos)
    assert all(photo.captions and all(photo.captions) for photo in photos)
    assert Counter(p.split for p in photos if p.source == "flickr") == {
        "test": 1000,
        "dev": 500,
        "train": 200,
    }
    assert {p.split for p in photos if p.source == "imagenet"} == {"train"}
    assert [photo.path for photo in photos] == sorted(photo.path for photo in photos)


@pytest.mark.slow
def test_everyday_photos_are_added_without_changing_the_others(folder: Path) -> None:
    write_everyday(folder)
    photos = sources.load_photos_with_everyday(folder)
    everyday = [photo for photo in photos if photo.path.startswith("everyday/")]
    assert len(everyday) == 10 * len((*LABELLED, *NAMED, *DOCUMENTS))
    assert [photo for photo in photos if photo not in everyday] == sources.load_photos(folder)
    assert [photo.path for photo in photos] == sorted(photo.path for photo in photos)


def test_captions_of_one_photo_stay_together(folder: Path) -> None:
    photo = next(p for p in sources.load_photos(folder) if p.path == "captioned/flickr8k_7.jpg")
    assert photo.captions == ("caption 0 of 7", "caption 1 of 7")
    assert photo.label == "flickr8k_7.jpg"


def test_product_captions_name_colour_and_article(folder: Path) -> None:
    product = next(p for p in sources.load_photos(folder) if p.source == "products")
    assert product.label == "navy blue tshirts"
    assert "a photo of navy blue tshirts" in product.captions
    assert "a navy blue t-shirt for a man" in product.captions
    unworn = product_captions({"name": "x", "gender": "Unisex", "article_type": "Caps", "colour": "Red"})
    assert not any(" for a " in caption for caption in unworn)


def test_class_words_are_everyday_words_and_the_exact_one_comes_first() -> None:
    assert class_words(207, "golden retriever")[0] == "golden retriever"
    assert "dog" in class_words(207, "golden retriever")
    assert class_words(134, "crane")[0] != class_words(517, "crane")[0]
    assert class_captions(508, "computer keyboard")[1] == "a photo of a computer keyboard"


def test_no_data_folder(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no data folder at .*--data"):
        sources.load_photos(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "part", ["captioned/captions.csv", "products/products.csv", "scenes", "imagenet_samples"]
)
def test_incomplete_data_folder_names_what_is_missing(folder: Path, part: str) -> None:
    (folder / part).rename(folder / "elsewhere")
    with pytest.raises(RecipeError, match=part):
        sources.load_photos(folder)


@pytest.mark.slow
def test_wrong_columns(folder: Path) -> None:
    (folder / "captioned" / "captions.csv").write_text("image,text\na.jpg,b\n")
    with pytest.raises(TrainingError, match="needs the columns filepath and caption"):
        sources.load_photos(folder)
    (folder / "captioned" / "captions.csv").write_text("filepath,caption\na.jpg,b\n")
    (folder / "products" / "products.csv").write_text("image,text\na.jpg,b\n")
    with pytest.raises(RecipeError, match="no column article_type, colour"):
        sources.load_photos(folder)


@pytest.mark.slow
def test_missing_class_photo(folder: Path) -> None:
    next((folder / "imagenet_samples").glob("*_7.jpg")).unlink()
    with pytest.raises(RecipeError, match="999 photos"):
        sources.load_photos(folder)


def test_missing_sentences(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"coco_val2017_captions\.txt"):
        sources.load_sentences(folder)

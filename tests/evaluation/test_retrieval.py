"""Recall of captions and photos: by hand, against the plain sort, and against the recipe's own function."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight import Library
from clipsight.core.errors import LabelError
from clipsight.evaluation.retrieval import measure_retrieval, read_captions
from clipsight.metrics import retrieval
from clipsight.metrics.retrieval import Recall, recall


def unit(count: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_recall_by_hand() -> None:
    images = np.eye(3, dtype=np.float32)
    texts = np.array([[1, 0.5, 0], [0.9, 1, 0], [0, 0.2, 1], [0.3, 0.2, 0.1]], dtype=np.float32)
    by_text, by_image = recall(images, texts, [0, 0, 1, 2])
    # Captions rank their photo 1st, 2nd, 2nd, 3rd.
    assert by_text == Recall(0.25, 1.0, 1.0, 2.0)
    # Photo 0's best caption is first; photo 1's (0.2) is behind two others; photo 2's (0.1) behind one.
    assert by_image == Recall(pytest.approx(1 / 3), 1.0, 1.0, 2.0)


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 999), st.booleans())
def test_recall_is_that_of_the_plain_sort(photos: int, most: int, seed: int, shuffled: bool) -> None:
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(photos), rng.integers(1, most + 1, photos))
    if shuffled:
        rng.shuffle(owner)
    images, texts = unit(photos, 6, seed), unit(len(owner), 6, seed + 1)
    by_text, by_image = recall(images, texts, owner.tolist())
    cosines = texts @ images.T
    places = [int(np.argsort(-row).tolist().index(mine)) for row, mine in zip(cosines, owner, strict=True)]
    assert by_text == Recall.of(np.array(places))
    places = [min(np.flatnonzero(owner[np.argsort(-column)] == row)) for row, column in enumerate(cosines.T)]
    assert by_image == Recall.of(np.array(places))


@pytest.mark.parametrize("block", [1, 100, 1 << 24])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = np.random.default_rng(0).permutation(np.repeat(np.arange(40), 3)).tolist()
    images, texts = unit(40, 5, 0), unit(120, 5, 1)
    expected = recall(images, texts, owner)
    monkeypatch.setattr(retrieval, "_BLOCK", block)
    assert recall(images, texts, owner) == expected


def test_every_photo_needs_a_caption() -> None:
    with pytest.raises(ValueError, match="every photo a caption"):
        recall(unit(3, 4, 0), unit(2, 4, 1), [0, 1])


def test_captions_of_a_csv(tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    table.write_text("filepath,caption\na.jpg, a cat \nb/c.jpg,a dog\na.jpg,a pet\n")
    assert read_captions(table) == {tmp_path / "a.jpg": ["a cat", "a pet"], tmp_path / "b/c.jpg": ["a dog"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "needs the columns filepath and caption"),
        (b"filepath,text\na.jpg,a cat\n", "needs the columns filepath and caption"),
        (b"filepath,caption\n", "has no caption"),
        (b"filepath,caption\na.jpg\n", "line 2: filepath or caption is empty"),
        (b"filepath,caption\na.jpg,caf\xe9\n", "can't read the captions"),
    ],
)
def test_a_wrong_csv_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    table = tmp_path / "captions.csv"
    table.write_bytes(content)
    with pytest.raises(LabelError, match=message):
        read_captions(table)
    with pytest.raises(LabelError, match=r"can't read the captions in .*: No such file"):
        read_captions(tmp_path / "nowhere.csv")


def test_photos_and_captions_are_measured(photos: Path, library: Library) -> None:
    (photos / "letter.jpg").write_text("Dear Sir or Madam")
    table = photos / "captions.csv"
    lines = [
        f"{path.name},a photo of {path.stem}\n{path.name},the {path.stem}\n"
        for path in sorted(photos.iterdir())
    ]
    table.write_text("filepath,caption\n" + "".join(lines))
    found = measure_retrieval(table, library)
    assert (found.photos, found.captions) == (8, 16)
    assert [path.name for path, _ in found.failures] == ["letter.jpg"]
    [stored] = library.embeddings()
    order = np.argsort([str(path) for path in stored.paths])
    names = [stored.paths[row].stem for row in order]
    texts = library.encoder.encode_texts(
        [f"{word} {name}" for name in names for word in ("a photo of", "the")]
    )
    owner = [row for row in range(8) for _ in range(2)]
    assert (found.text_to_image, found.image_to_text) == recall(stored.vectors[order], texts, owner)


def test_nothing_readable_is_told(tmp_path: Path, library: Library) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "letter.jpg").write_text("Dear Sir or Madam")
    (tmp_path / "p" / "captions.csv").write_text("filepath,caption\nletter.jpg,a letter\n")
    with pytest.raises(LabelError, match=r"no photo that .* names can be read: the first is .*letter\.jpg"):
        measure_retrieval(tmp_path / "p" / "captions.csv", library)

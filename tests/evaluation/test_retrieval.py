"""Retrieval of captions and photos: from a table of captions to the metrics."""

from pathlib import Path

import numpy as np
import pytest

from clipsight import Library
from clipsight.core.errors import LabelError
from clipsight.evaluation.retrieval import measure_retrieval, read_captions
from clipsight.metrics.retrieval import retrieval_metrics


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
        (b"filepath,caption\na.jpg,caf\xe9\n", "can't read "),
    ],
)
def test_an_invalid_csv_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    table = tmp_path / "captions.csv"
    table.write_bytes(content)
    with pytest.raises(LabelError, match=message):
        read_captions(table)
    with pytest.raises(LabelError, match=r"can't read .*: No such file"):
        read_captions(tmp_path / "nowhere.csv")


@pytest.mark.slow
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
    assert (found.text_to_image, found.image_to_text) == retrieval_metrics(
        stored.vectors[order], texts, owner
    )


def test_a_collection_without_readable_photos_is_an_error(tmp_path: Path, library: Library) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "letter.jpg").write_text("Dear Sir or Madam")
    (tmp_path / "p" / "captions.csv").write_text("filepath,caption\nletter.jpg,a letter\n")
    with pytest.raises(LabelError, match=r"no photo of .* can be read: the first is .*letter\.jpg"):
        measure_retrieval(tmp_path / "p" / "captions.csv", library)

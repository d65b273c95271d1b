"""Captioned photos in tables, folders and shards."""

import csv
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from clipsight.core.errors import PhotoError, TrainingError
from clipsight.models.preprocess import PreprocessConfig
from clipsight.training.datasets import CaptionDataset, FileDataset, open_dataset
from clipsight.training.loader import EvaluationExamples, evaluation_batches

pytestmark = pytest.mark.torch

CAPTIONS = {"a.png": ["a red square", "something red"], "sub/b.png": ["a blue square"]}
COLOURS = {"a.png": (250, 10, 10), "sub/b.png": (10, 10, 250)}


def _png(colour: tuple[int, int, int] = (90, 120, 60), size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def _write_photos(folder: Path) -> None:
    for name, colour in COLOURS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(_png(colour))


def _table(
    path: Path, rows: list[tuple[str, str]], header: tuple[str, str] = ("filepath", "caption")
) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows([header, *rows])
    return path


def _rows() -> list[tuple[str, str]]:
    return [(name, caption) for name, captions in CAPTIONS.items() for caption in captions]


def _csv(folder: Path) -> Path:
    return _table(folder / "captions.csv", _rows())


def _tsv(folder: Path) -> Path:
    return _table(folder / "captions.tsv", _rows())


def _parquet(folder: Path) -> Path:
    names, captions = zip(*_rows(), strict=True)
    table = pyarrow.table({"caption": captions, "filepath": names, "other": list(range(len(names)))})
    pyarrow.parquet.write_table(table, folder / "captions.parquet")
    return folder / "captions.parquet"


def _parquet_of_lists(folder: Path) -> Path:
    table = pyarrow.table({"filepath": list(CAPTIONS), "caption": list(CAPTIONS.values())})
    pyarrow.parquet.write_table(table, folder / "lists.parquet")
    return folder / "lists.parquet"


def _pairs(folder: Path) -> Path:
    for name, captions in CAPTIONS.items():
        (folder / name).with_suffix(".txt").write_text("\n".join(captions) + "\n\n", encoding="utf-8")
    return folder


def _shards(folder: Path) -> Path:
    (folder / "shards").mkdir()
    for number, (name, captions) in enumerate(CAPTIONS.items()):
        members = {
            "x.png": (folder / name).read_bytes(),
            "x.txt": "\n".join(captions).encode(),
            "x.json": b"{}",
        }
        _tar(folder / "shards" / f"{number:03}.tar", members)
    return folder / "shards"


def _tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("make", [_csv, _tsv, _parquet, _parquet_of_lists, _pairs, _shards])
def test_all_data_formats_give_the_same_samples(make: Callable[[Path], Path], tmp_path: Path) -> None:
    _write_photos(tmp_path)
    dataset = open_dataset(make(tmp_path))
    assert [list(dataset.captions(i)) for i in range(len(dataset))] == list(CAPTIONS.values())
    assert dataset.uncaptioned == ()
    found = [
        pixels[0, 0].tolist()  # type: ignore[index]
        for _, pixels, _ in next(
            evaluation_batches(EvaluationExamples(dataset, _all(dataset), PreprocessConfig((8, 8))), 9, 0)
        )
    ]
    assert found == [list(colour) for colour in COLOURS.values()]


def _all(dataset: CaptionDataset) -> np.ndarray:
    return np.arange(len(dataset))


def test_braces_name_shards(tmp_path: Path) -> None:
    _write_photos(tmp_path)
    folder = _shards(tmp_path)
    assert len(open_dataset(f"{folder}/{{000..001}}.tar")) == 2
    assert len(open_dataset(folder / "001.tar")) == 1
    with pytest.raises(TrainingError, match=r"002\.tar|No such file"):
        open_dataset(f"{folder}/{{000..002}}.tar")


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    table = _table(tmp_path / "x.csv", [("a.png", "a cat")], ("image", "text"))
    assert open_dataset(table, ("image", "text")).captions(0) == ("a cat",)
    with pytest.raises(
        TrainingError,
        match="needs the columns filepath and caption, it has image, text; name them with `columns`",
    ):
        open_dataset(table)


def test_rows_without_caption_or_photo_are_skipped_and_reported(tmp_path: Path) -> None:
    rows = [("a.png", " "), ("", "a cat"), ("b.png", "a dog"), ("./b.png", "a hound")]
    dataset = open_dataset(_table(tmp_path / "x.csv", rows))
    assert [dataset.captions(i) for i in range(len(dataset))] == [("a dog", "a hound")]
    assert [line.partition(", ")[2] for line in dataset.uncaptioned] == [
        "line 2: caption is empty",
        "line 3: filepath is empty",
    ]


def test_a_row_that_is_too_short_has_no_caption(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("\ufefffilepath,caption\na.png\nb.png,a dog\n", encoding="utf-8")
    dataset = open_dataset(tmp_path / "x.csv")
    assert len(dataset) == 1 and len(dataset.uncaptioned) == 1


def test_photos_without_text_are_skipped_and_reported(tmp_path: Path) -> None:
    _write_photos(tmp_path)
    (tmp_path / "a.txt").write_text("a red square")
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 1 and "b.png" in dataset.uncaptioned[0]


def test_members_without_text_are_skipped_and_empty_texts_found_on_reading(tmp_path: Path) -> None:
    members = {"a.png": _png(), "b.png": _png(), "b.txt": b" \n", "c.txt": b"no photo", "./.d.txt": b"hidden"}
    dataset = open_dataset(_tar(tmp_path / "x.tar", members))
    assert len(dataset) == 1 and dataset.uncaptioned[0].endswith("/a")
    with pytest.raises(PhotoError, match="its text is empty"):
        dataset.captions(0)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", None, "no training data at"),
        ("x.csv", "filepath,caption\n", "holds no photo with a caption"),
        ("x.csv", "filepath;caption\na;b\n", "needs the columns"),
        ("x.csv", b"filepath,caption\na.png,\xff\xfe\n", r"can't read .*x\.csv"),
        ("x.xlsx", "", "is no training data"),
        ("x.parquet", "filepath", "can't read the training data"),
        ("x.tar", "not a tar", "not a complete, uncompressed tar"),
        ("empty", "folder", "holds no photo with a caption"),
    ],
)
def test_bad_data_is_a_one_line_error(
    name: str, content: str | bytes | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TrainingError, match=said) as raised:
        open_dataset(path)
    assert "\n" not in str(raised.value)


def test_shards_that_are_cut_or_compressed_are_refused(tmp_path: Path) -> None:
    whole = _tar(tmp_path / "whole.tar", {"a.png": _png(size=(300, 300)) * 9, "a.txt": b"grey"})
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:1100])
    _tar(tmp_path / "packed.tar", {"a.png": _png(), "a.txt": b"grey"}, "w:gz")
    for name in ("cut.tar", "packed.tar"):
        with pytest.raises(TrainingError, match=name):
            open_dataset(tmp_path / name)


def test_shards_are_shuffled_in_groups(tmp_path: Path) -> None:
    for number in range(20):
        members = {f"{i}.{suffix}": b"x" for i in range(5) for suffix in ("jpg", "txt")}
        _tar(tmp_path / f"{number:02}.tar", members)
    dataset = open_dataset(tmp_path)
    first, second = (dataset.shuffled(np.random.default_rng(seed)) for seed in (1, 2))
    assert sorted(first) == sorted(second) == list(range(100)) and list(first) != list(second)
    assert len({index // 5 for index in first[:40]}) == 8  # of eight shards, mixed
    assert len({index // 5 for index in first[:8]}) > 2


def test_other_data_has_another_digest(tmp_path: Path) -> None:
    digests = {
        FileDataset(captions).digest()
        for captions in (
            {"a": ["x"]},
            {"a": ["y"]},
            {"b": ["x"]},
            {"a": ["x", "y"]},
            {"a": ["x"], "b": ["y"]},
        )
    }
    assert len(digests) == 5
    assert FileDataset({"/here/a": ["x"]}).digest() == FileDataset({"/there/a": ["x"]}).digest()

"""Training data of every kind, and the batches made of it."""

import csv
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipsight.clip.tokens import normalise, tokenise
from clipsight.core.errors import PhotoError, TrainingError
from clipsight.models.preprocess import PreprocessConfig
from clipsight.models.preprocess import normalise as normalise_exactly
from clipsight.training.datasets import Batch, Examples, Plain, Plan, batches, plain_batches, random_crop
from clipsight.training.source import Source
from clipsight.training.sources import Files, read_source

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
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("make", [_csv, _tsv, _parquet, _parquet_of_lists, _pairs, _shards])
def test_every_kind_of_data_holds_the_same(make: Callable[[Path], Path], tmp_path: Path) -> None:
    _write_photos(tmp_path)
    source = read_source(make(tmp_path))
    assert [list(source.captions(i)) for i in range(len(source))] == list(CAPTIONS.values())
    assert source.uncaptioned == ()
    found = [
        pixels[0, 0].tolist()
        for _, pixels, _ in next(plain_batches(Plain(source, _all(source), PreprocessConfig((8, 8))), 9, 0))
    ]
    assert found == [list(colour) for colour in COLOURS.values()]


def _all(source: Source) -> np.ndarray:
    return np.arange(len(source))


def test_braces_name_shards(tmp_path: Path) -> None:
    _write_photos(tmp_path)
    folder = _shards(tmp_path)
    assert len(read_source(f"{folder}/{{000..001}}.tar")) == 2
    assert len(read_source(folder / "001.tar")) == 1
    with pytest.raises(TrainingError, match=r"002\.tar|No such file"):
        read_source(f"{folder}/{{000..002}}.tar")


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    table = _table(tmp_path / "x.csv", [("a.png", "a cat")], ("image", "text"))
    assert read_source(table, ("image", "text")).captions(0) == ("a cat",)
    with pytest.raises(TrainingError, match="needs the columns filepath and caption, it has image, text"):
        read_source(table)


def test_rows_without_caption_or_photo_are_left_out_and_told(tmp_path: Path) -> None:
    rows = [("a.png", " "), ("", "a cat"), ("b.png", "a dog"), ("./b.png", "a hound")]
    source = read_source(_table(tmp_path / "x.csv", rows))
    assert [source.captions(i) for i in range(len(source))] == [("a dog", "a hound")]
    assert [line.partition(", ")[2] for line in source.uncaptioned] == [
        "row 1: caption is empty",
        "row 2: filepath is empty",
    ]


def test_a_row_that_is_too_short_has_no_caption(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("\ufefffilepath,caption\na.png\nb.png,a dog\n", encoding="utf-8")
    source = read_source(tmp_path / "x.csv")
    assert len(source) == 1 and len(source.uncaptioned) == 1


def test_photos_without_text_are_left_out_and_told(tmp_path: Path) -> None:
    _write_photos(tmp_path)
    (tmp_path / "a.txt").write_text("a red square")
    source = read_source(tmp_path)
    assert len(source) == 1 and "b.png" in source.uncaptioned[0]


def test_members_without_text_are_left_out_and_empty_texts_found_when_read(tmp_path: Path) -> None:
    members = {"a.png": _png(), "b.png": _png(), "b.txt": b" \n", "c.txt": b"no photo", "./.d.txt": b"hidden"}
    source = read_source(_tar(tmp_path / "x.tar", members))
    assert len(source) == 1 and source.uncaptioned[0].endswith("/a")
    with pytest.raises(PhotoError, match="its text is empty"):
        source.captions(0)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", None, "no training data at"),
        ("x.csv", "filepath,caption\n", "holds no photo with a caption"),
        ("x.csv", "filepath;caption\na;b\n", "needs the columns"),
        ("x.csv", b"filepath,caption\na.png,\xff\xfe\n", "can't read the training data"),
        ("x.xlsx", "", "is no training data"),
        ("x.parquet", "filepath", "can't read the training data"),
        ("x.tar", "not a tar", "no whole, uncompressed tar"),
        ("empty", "folder", "holds no photo with a caption"),
    ],
)
def test_bad_data_is_told_in_one_line(
    name: str, content: str | bytes | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TrainingError, match=said) as raised:
        read_source(path)
    assert "\n" not in str(raised.value)


def test_shards_that_are_cut_or_compressed_are_refused(tmp_path: Path) -> None:
    whole = _tar(tmp_path / "whole.tar", {"a.png": _png(size=(300, 300)) * 9, "a.txt": b"grey"})
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:1100])
    _tar(tmp_path / "packed.tar", {"a.png": _png(), "a.txt": b"grey"}, "w:gz")
    for name in ("cut.tar", "packed.tar"):
        with pytest.raises(TrainingError, match=name):
            read_source(tmp_path / name)


def test_shards_are_shuffled_in_groups(tmp_path: Path) -> None:
    for number in range(20):
        members = {f"{i}.{suffix}": b"x" for i in range(5) for suffix in ("jpg", "txt")}
        _tar(tmp_path / f"{number:02}.tar", members)
    source = read_source(tmp_path)
    first, second = (source.order(np.random.default_rng(seed)) for seed in (1, 2))
    assert sorted(first) == sorted(second) == list(range(100)) and list(first) != list(second)
    assert len({index // 5 for index in first[:40]}) == 8  # of eight shards, mixed
    assert len({index // 5 for index in first[:8]}) > 2


def test_another_digest_for_other_data(tmp_path: Path) -> None:
    digests = {
        Files(captions).digest()
        for captions in (
            {"a": ["x"]},
            {"a": ["y"]},
            {"b": ["x"]},
            {"a": ["x", "y"]},
            {"a": ["x"], "b": ["y"]},
        )
    }
    assert len(digests) == 5
    assert Files({"/here/a": ["x"]}).digest() == Files({"/there/a": ["x"]}).digest()


def test_ids_are_clips() -> None:
    """The example in the README of https://github.com/openai/CLIP, and a text that is cut."""
    found = tokenise(["a diagram", "a dog " * 60], 77)
    assert found.shape == (2, 77) and found.dtype == np.int64
    assert found[0, :5].tolist() == [49406, 320, 22697, 49407, 0]
    assert found[1, 0] == 49406 and found[1, -1] == 49407 and (found[1] != 0).all()


def test_pixels_are_normalised_as_in_search() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    for config in (PreprocessConfig(), PreprocessConfig(mean=(0.5, 0.4, 0.3), std=(0.5, 0.6, 0.7))):
        expected = normalise_exactly(pixels, config)
        assert np.abs(normalise(torch.from_numpy(pixels), config).numpy() - expected).max() < 1e-6


@given(
    st.integers(1, 300), st.integers(1, 300), st.floats(0.01, 1), st.integers(0, 2**32), st.integers(1, 16)
)
def test_a_crop_is_of_the_photo_and_has_its_size(
    width: int, height: int, least: float, seed: int, size: int
) -> None:
    found = random_crop(
        Image.new("RGB", (width, height), (10, 20, 30)), size, least, np.random.default_rng(seed)
    )
    assert found.shape == (size, size, 3) and (found == (10, 20, 30)).all()


def test_a_crop_keeps_its_share_and_moves() -> None:
    """The photo's green is its column, its blue its row: a crop's corners tell where it was cut."""
    rows, columns = np.mgrid[0:200, 0:240]
    photo = Image.fromarray(np.stack([0 * rows, columns, rows], 2).astype(np.uint8))
    spans = []
    for seed in range(60):
        found = random_crop(photo, 64, 0.5, np.random.default_rng(seed)).astype(float)
        width = (found[32, -1, 1] - found[32, 0, 1]) * 64 / 63
        height = (found[-1, 32, 2] - found[0, 32, 2]) * 64 / 63
        spans.append((width * height / (240 * 200), width / height, found[0, 0, 1], found[0, 0, 2]))
    share, ratio, left, top = np.array(spans).T
    assert share.min() > 0.47 and share.max() < 1.03 and share.std() > 0.05
    assert ratio.min() > 0.7 and ratio.max() < 1.42 and ratio.std() > 0.05
    assert left.std() > 5 and top.std() > 5


def _examples(folder: Path, photos: int = 11, broken: tuple[int, ...] = (), seed: int = 3) -> Examples:
    captions = {}
    for number in range(photos):
        path = folder / f"{number}.png"
        path.write_bytes(b"no photo" if number in broken else _png((number, 2 * number, 99), (20, 16)))
        captions[str(path)] = [f"number {number}", f"this is {number}"]
    source = Files(captions)
    return Examples(source, _all(source), image_size=8, context_length=12, seed=seed)


def _shown(batch: Batch) -> list[int]:
    """The photos of a batch, whose red is their number."""
    return [int(number) for number in batch.pixels[:, 0, 0, 0]]


def test_every_photo_is_seen_once_an_epoch_in_another_order(tmp_path: Path) -> None:
    examples = _examples(tmp_path, 11)
    found = list(batches(Plan(examples, batch=3, steps=6), workers=0))
    assert all(batch.pixels.shape == (3, 8, 8, 3) and batch.ids.shape == (3, 12) for batch in found)
    epochs = [[n for batch in found[i : i + 3] for n in _shown(batch)] for i in (0, 3)]
    assert all(len(set(epoch)) == 9 for epoch in epochs) and epochs[0] != epochs[1]


def test_captions_and_crops_are_drawn_anew_each_epoch(tmp_path: Path) -> None:
    examples = _examples(tmp_path)
    rows = [examples[epoch, 5] for epoch in range(12)]
    assert len({ids.tobytes() for _, ids, _ in rows}) == 2
    again = _examples(tmp_path)[4, 5]
    assert np.array_equal(again[0], rows[4][0]) and np.array_equal(again[1], rows[4][1])


def test_workers_change_nothing(tmp_path: Path) -> None:
    plan = Plan(_examples(tmp_path, broken=(2,)), batch=4, steps=5)
    for here, there in zip(batches(plan, 0), batches(plan, 2), strict=True):
        assert torch.equal(here.pixels, there.pixels) and torch.equal(here.ids, there.ids)
        assert here.skipped == there.skipped


def test_a_run_that_goes_on_sees_what_it_would_have_seen(tmp_path: Path) -> None:
    examples = _examples(tmp_path)
    whole = list(batches(Plan(examples, 4, steps=7), 0))
    rest = list(batches(Plan(examples, 4, steps=7, first=3), 0))
    assert len(rest) == len(Plan(examples, 4, steps=7, first=3)) == 4
    for expected, found in zip(whole[3:], rest, strict=True):
        assert torch.equal(expected.pixels, found.pixels) and torch.equal(expected.ids, found.ids)


def test_processes_share_the_batch_of_one(tmp_path: Path) -> None:
    examples = _examples(tmp_path)
    whole = list(batches(Plan(examples, 4, steps=4), 0))
    parts = [list(batches(Plan(examples, 4, steps=4, rank=rank, processes=2), 0)) for rank in (0, 1)]
    for expected, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(expected.pixels, torch.cat([first.pixels, second.pixels]))
        assert torch.equal(expected.ids, torch.cat([first.ids, second.ids]))


def test_only_the_chosen_photos_are_seen(tmp_path: Path) -> None:
    examples = _examples(tmp_path)
    chosen = Examples(examples.source, np.array([1, 4, 6, 9]), 8, 12)
    assert {n for batch in batches(Plan(chosen, 2, steps=6), 0) for n in _shown(batch)} == {1, 4, 6, 9}


def test_another_photo_stands_for_one_that_is_broken_or_gone(tmp_path: Path) -> None:
    examples = _examples(tmp_path, broken=(2, 7))
    (tmp_path / "5.png").unlink()
    found = list(batches(Plan(examples, 11, steps=1), 0))
    shown = _shown(found[0])
    assert len(shown) == 11 and not {2, 5, 7} & set(shown)
    reasons = dict(found[0].skipped)
    broken, gone, other = (str(tmp_path / f"{number}.png") for number in (2, 5, 7))
    assert reasons.keys() == {broken, gone, other}
    assert "text" in reasons[broken] and "No such file" in reasons[gone]


def test_a_batch_of_broken_photos_comes_back_empty(tmp_path: Path) -> None:
    examples = _examples(tmp_path, photos=3, broken=(0, 1, 2))
    (batch,) = batches(Plan(examples, 3, steps=1), 0)
    assert len(batch.pixels) == 0 and {Path(name).stem for name, _ in batch.skipped} == {"0", "1", "2"}


def test_reading_ahead_leaves_the_models_random_numbers_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    list(batches(Plan(_examples(tmp_path), 4, steps=2), 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_plain_photos_tell_why_one_is_unread(tmp_path: Path) -> None:
    examples = _examples(tmp_path, photos=3, broken=(1,))
    (rows,) = plain_batches(Plain(examples.source, np.array([0, 1, 2]), PreprocessConfig((8, 8))), 5, 0)
    assert [pixels is None for _, pixels, _ in rows] == [False, True, False]
    assert rows[1][0] == 1 and "text" in rows[1][2]

"""Batches of captioned photos: crops, order, workers, resumption, unreadable photos."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipsight.models.preprocess import PreprocessConfig
from clipsight.training.datasets import FileDataset
from clipsight.training.loader import (
    Batch,
    BatchSampler,
    EvaluationExamples,
    TrainingExamples,
    evaluation_batches,
    random_crop,
    training_batches,
)

pytestmark = pytest.mark.torch


def _png(colour: tuple[int, int, int], size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


@given(
    st.integers(1, 300), st.integers(1, 300), st.floats(0.01, 1), st.integers(0, 2**32), st.integers(1, 16)
)
def test_a_crop_is_of_the_photo_and_has_its_size(
    width: int, height: int, min_area: float, seed: int, size: int
) -> None:
    found = random_crop(
        Image.new("RGB", (width, height), (10, 20, 30)), size, min_area, np.random.default_rng(seed)
    )
    assert found.shape == (size, size, 3) and (found == (10, 20, 30)).all()


def test_crops_have_at_least_their_share_of_the_area_at_random_places() -> None:
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


def _examples(
    folder: Path, photos: int = 11, broken: tuple[int, ...] = (), seed: int = 3
) -> TrainingExamples:
    captions = {}
    for number in range(photos):
        path = folder / f"{number}.png"
        path.write_bytes(b"no photo" if number in broken else _png((number, 2 * number, 99), (20, 16)))
        captions[str(path)] = [f"number {number}", f"this is {number}"]
    dataset = FileDataset(captions)
    return TrainingExamples(dataset, np.arange(photos), image_size=8, context_length=12, seed=seed)


def _shown(batch: Batch) -> list[int]:
    """The photos of a batch, whose red is their number."""
    return [int(number) for number in batch.pixels[:, 0, 0, 0]]


def test_every_photo_is_seen_once_an_epoch_in_another_order(tmp_path: Path) -> None:
    examples = _examples(tmp_path, 11)
    found = list(training_batches(BatchSampler(examples, batch_size=3, steps=6), workers=0))
    assert all(batch.pixels.shape == (3, 8, 8, 3) and batch.ids.shape == (3, 12) for batch in found)
    epochs = [[n for batch in found[i : i + 3] for n in _shown(batch)] for i in (0, 3)]
    assert all(len(set(epoch)) == 9 for epoch in epochs) and epochs[0] != epochs[1]


def test_captions_and_crops_are_drawn_again_in_each_epoch(tmp_path: Path) -> None:
    examples = _examples(tmp_path)
    rows = [examples[epoch, 5] for epoch in range(12)]
    assert len({ids.tobytes() for _, ids, _ in rows}) == 2
    again = _examples(tmp_path)[4, 5]
    assert np.array_equal(again[0], rows[4][0]) and np.array_equal(again[1], rows[4][1])  # type: ignore[arg-type]


def test_the_number_of_workers_does_not_change_the_samples(tmp_path: Path) -> None:
    sampler = BatchSampler(_examples(tmp_path, broken=(2,)), batch_size=4, steps=5)
    for here, there in zip(training_batches(sampler, 0), training_batches(sampler, 2), strict=True):
        assert torch.equal(here.pixels, there.pixels) and torch.equal(here.ids, there.ids)
        assert here.skipped == there.skipped


def test_a_resumed_run_sees_the_same_samples(tmp_path: Path) -> None:
    examples = _examples(tmp_path)
    whole = list(training_batches(BatchSampler(examples, 4, steps=7), 0))
    rest = list(training_batches(BatchSampler(examples, 4, steps=7, first_step=3), 0))
    assert len(rest) == len(BatchSampler(examples, 4, steps=7, first_step=3)) == 4
    for expected, found in zip(whole[3:], rest, strict=True):
        assert torch.equal(expected.pixels, found.pixels) and torch.equal(expected.ids, found.ids)


def test_processes_split_the_batch_of_a_single_process(tmp_path: Path) -> None:
    examples = _examples(tmp_path)
    whole = list(training_batches(BatchSampler(examples, 4, steps=4), 0))
    parts = [
        list(training_batches(BatchSampler(examples, 4, steps=4, rank=rank, world_size=2), 0))
        for rank in (0, 1)
    ]
    for expected, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(expected.pixels, torch.cat([first.pixels, second.pixels]))
        assert torch.equal(expected.ids, torch.cat([first.ids, second.ids]))


def test_only_the_chosen_photos_are_seen(tmp_path: Path) -> None:
    examples = _examples(tmp_path)
    chosen = TrainingExamples(examples.dataset, np.array([1, 4, 6, 9]), 8, 12)
    assert {n for batch in training_batches(BatchSampler(chosen, 2, steps=6), 0) for n in _shown(batch)} == {
        1,
        4,
        6,
        9,
    }


def test_broken_and_missing_photos_are_replaced_by_others(tmp_path: Path) -> None:
    examples = _examples(tmp_path, broken=(2, 7))
    (tmp_path / "5.png").unlink()
    found = list(training_batches(BatchSampler(examples, 11, steps=1), 0))
    shown = _shown(found[0])
    assert len(shown) == 11 and not {2, 5, 7} & set(shown)
    reasons = dict(found[0].skipped)
    broken, gone, other = (str(tmp_path / f"{number}.png") for number in (2, 5, 7))
    assert reasons.keys() == {broken, gone, other}
    assert "text" in reasons[broken] and "No such file" in reasons[gone]


def test_a_batch_of_broken_photos_comes_back_empty(tmp_path: Path) -> None:
    examples = _examples(tmp_path, photos=3, broken=(0, 1, 2))
    (batch,) = training_batches(BatchSampler(examples, 3, steps=1), 0)
    assert len(batch.pixels) == 0 and {Path(name).stem for name, _ in batch.skipped} == {"0", "1", "2"}


def test_prefetching_does_not_change_the_models_random_numbers(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    list(training_batches(BatchSampler(_examples(tmp_path), 4, steps=2), 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_skipped_photos_have_a_reason(tmp_path: Path) -> None:
    examples = _examples(tmp_path, photos=3, broken=(1,))
    (rows,) = evaluation_batches(
        EvaluationExamples(examples.dataset, np.array([0, 1, 2]), PreprocessConfig((8, 8))), 5, 0
    )
    assert [pixels is None for _, pixels, _ in rows] == [False, True, False]
    assert rows[1][0] == 1 and "text" in rows[1][2]

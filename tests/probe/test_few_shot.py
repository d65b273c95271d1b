"""Accuracy by the number of photos of a class."""

import csv
import io

import numpy as np
import pytest

from clipsight.core.errors import LabelError
from clipsight.probe.few_shot import few_shot_curve, shots_up_to, to_csv
from clipsight.probe.logistic import fit_head
from tests.support.labelled import WORDS, points


@pytest.mark.slow
def test_the_curve_has_a_point_per_number_of_shots_and_for_all_photos() -> None:
    train, test = points(20), points(50, seed=1)
    found = list(few_shot_curve(train, test, WORDS, shots_up_to(train), 3))
    assert [point.shots for point in found] == [1, 2, 4, 8, 16, None]
    assert [len(point.probe) for point in found] == [3] * 5 + [1]
    assert [point.photos for point in found] == [3, 6, 12, 24, 48, 60]
    zero_shot = (WORDS.logits(test.vectors).argmax(1) == test.labels).mean()
    assert {point.zero_shot for point in found} == {zero_shot}
    everything = fit_head(train.vectors, train.labels).head
    assert found[-1].probe == ((everything.logits(test.vectors).argmax(1) == test.labels).mean(),)
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert [row["shots"] for row in rows] == ["1", "2", "4", "8", "16", "all"]
    assert float(rows[0]["probe"]) == pytest.approx(np.mean(found[0].probe), abs=1e-6)
    assert float(rows[0]["probe_std"]) == pytest.approx(np.std(found[0].probe), abs=1e-6)


def test_shots_of_the_curve() -> None:
    assert shots_up_to(points(20)) == (1, 2, 4, 8, 16)
    assert shots_up_to(points(6)) == (1, 2, 4, 6)
    assert shots_up_to(points(20), 5) == (1, 2, 4, 5)
    assert shots_up_to(points(40), 32) == (1, 2, 4, 8, 16, 32)
    with pytest.raises(LabelError, match="`shots` is 7"):
        shots_up_to(points(6), 7)
    with pytest.raises(LabelError, match="`repeats` is 0"):
        list(few_shot_curve(points(4), points(4), WORDS, (1,), 0))

"""Pictures of a probe's report."""

import io

import numpy as np
import pytest
from PIL import Image

from clipsight.metrics.classification import classification_metrics
from clipsight.probe.few_shot import few_shot_curve
from clipsight.probe.plots import confusion_png, curve_png
from tests.support.labelled import WORDS, points


@pytest.mark.slow
def test_pictures_are_drawn_for_any_names_and_numbers() -> None:
    names = ("猫", "a$b_{x}", "with\nnewline", "x" * 200)
    scores = classification_metrics(np.eye(4), np.array([0, 1, 2, 2]), names)
    with Image.open(io.BytesIO(confusion_png(scores, "probe on m$x"))) as picture:
        assert picture.format == "PNG" and picture.width > 300
    large = classification_metrics(np.eye(300), np.arange(300), [str(number) for number in range(300)])
    with Image.open(io.BytesIO(confusion_png(large, "large"))) as picture:
        assert max(picture.size) < 4000
    train = points(6)
    drawn = curve_png(list(few_shot_curve(train, points(9, seed=1), WORDS, (1, 2), 2)), "probe")
    with Image.open(io.BytesIO(drawn)) as picture:
        assert picture.format == "PNG" and picture.width > 300

"""A model's precisions compared: cosines, the recommendation, and the command."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from clipsight.cli.compare_models import compare_models as command
from clipsight.core.errors import ModelError
from clipsight.evaluation.precision_benchmark import ModelComparison, compare_models, recommended
from tests.support.tiny_models import make_model_folder

FP32 = ModelComparison("a", "a", 600.0, 10.0, 30.0, 1.0, 1.0)
INT8 = ModelComparison("b", "b", 150.0, 26.0, 90.0, 0.9997, 0.998)


def test_the_fastest_similar_model_is_recommended() -> None:
    fp16 = replace(FP32, path="c", photos_a_second=12.0)
    assert recommended([FP32, fp16, INT8]) == INT8
    assert recommended([FP32, INT8, fp16]) == INT8
    assert recommended([FP32, fp16]) == fp16


@pytest.mark.parametrize(
    "other",
    [
        replace(INT8, photos_a_second=10.9),
        replace(INT8, photo_cosine=0.98),
        replace(INT8, text_cosine=0.98),
    ],
)
def test_slow_or_dissimilar_models_are_not_recommended(other: ModelComparison) -> None:
    assert recommended([FP32, other]) is None
    assert recommended([FP32]) is None


@pytest.mark.slow
def test_cosines_with_the_first_model_are_measured(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    same = make_model_folder(tmp_path / "same")
    other = make_model_folder(tmp_path / "other", seed=5)
    first, twin, stranger = compare_models([tiny_model, same, other], sorted(photos.iterdir()), threads=1)
    assert first.photo_cosine == pytest.approx(1) == twin.photo_cosine
    assert twin.text_cosine == pytest.approx(1)
    assert stranger.photo_cosine < 0.9 and stranger.text_cosine < 0.9
    assert first.photos_a_second > 0 and first.texts_a_second > 0
    assert first.megabytes == pytest.approx(twin.megabytes)


def test_different_models_are_refused(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    other = make_model_folder(tmp_path / "other", dim=16)
    with pytest.raises(ModelError, match="16 numbers"):
        compare_models([tiny_model, other], sorted(photos.iterdir()))


@pytest.mark.slow
def test_photos_that_cannot_be_read(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    some = sorted(photos.iterdir())
    assert compare_models([tiny_model], [text, *some])[0].photo_cosine == pytest.approx(1)
    with pytest.raises(ModelError, match="`photos`"):
        compare_models([tiny_model], [text])


@pytest.mark.slow
def test_the_command(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    same = make_model_folder(tmp_path / "same")
    app = typer.Typer()
    app.command()(command)
    arguments = [str(tiny_model), str(same), "--photos", str(photos), "--threads", "1"]
    table = CliRunner().invoke(app, arguments)
    assert table.exit_code == 0, table.output
    assert "same" in table.stdout and "1.0000" in table.stdout
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert [model["path"] for model in found["models"]] == [str(tiny_model), str(same)]
    assert found["worth_using"] in (None, str(same))

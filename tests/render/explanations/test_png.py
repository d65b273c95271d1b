"""Explanations as a picture, as a page and in a terminal."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsight.core.errors import LibraryError, PhotoError
from clipsight.explain.base import Explanation, PartShare, RegionExplanation, WordShare
from clipsight.render.colors import NEGATIVE, POSITIVE
from clipsight.render.explanations.captions import words_caption
from clipsight.render.explanations.html import write_html
from clipsight.render.explanations.overlay import overlay_heat, peak_position
from clipsight.render.explanations.png import _legible, draw, write_png
from clipsight.render.explanations.terminal import print_explanation
from clipsight.render.fonts import TextRenderer

SIXTEEN = "a small red bird sits on the old green bench beside two tall trees in spring"


def made(
    photo: Path,
    *words: str,
    shares: list[float] | None = None,
    heat: np.ndarray | None = None,
    seen: tuple[float, float, float, float] = (0, 0, 1, 1),
    method: str = "occlusion",
) -> Explanation:
    """An explanation of a query of these words, with a shared growing share."""
    values = shares or [0.01 * (number + 1) for number in range(len(words))]
    told = tuple(WordShare(*each, 0.001, 0.02) for each in zip(words, values, strict=True))
    region = None if heat is None else RegionExplanation("occlusion", heat.astype(np.float32), "score")
    query = " ".join(words)
    part = PartShare(query, 1.0, 0.3, told)
    return Explanation(query, photo, "fake", 0.3, method, (part,), region, query, seen, True, 1.0)


def has_colour(picture: Image.Image, colour: str) -> bool:
    wanted = np.array(list(bytes.fromhex(colour[1:])))
    return bool((np.asarray(picture) == wanted).all(axis=-1).any())


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (300, 200), (90, 120, 160)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize(
    "words",
    [["bee"], ["a", "red", "bee"], SIXTEEN.split(), [*"两只狗在海滩上"], ["🐝", "花"], ["w" * 500], ["<b>&"]],
)
@pytest.mark.slow
def test_any_words_can_be_drawn_and_written(words: list[str], photo: Path) -> None:
    found = made(photo, *words, heat=np.eye(4))
    write_png(found, photo.with_name("out.png"))
    write_html(found, photo.with_name("out.html"))
    with Image.open(photo.with_name("out.png")) as picture:
        assert picture.width == 1024 and picture.height < 1400
    assert photo.with_name("out.html").stat().st_size > 2000


def test_an_emoji_without_a_font_is_drawn_by_its_name() -> None:
    bare = TextRenderer(["🐝"], folders=())
    assert _legible(bare, "a 🐝") == "a [honeybee]"
    assert _legible(bare, "❤️") == "[heavy black heart]"
    assert _legible(bare, "花") == r"\u82b1"


@pytest.mark.slow
def test_bars_are_coloured_by_sign(photo: Path) -> None:
    up, both = made(photo, "a", "bee"), made(photo, "a", "bee", shares=[0.1, -0.05])
    assert has_colour(draw(up), POSITIVE) and not has_colour(draw(up), NEGATIVE)
    assert has_colour(draw(both), POSITIVE) and has_colour(draw(both), NEGATIVE)


def test_bars_are_as_high_as_their_shares(photo: Path) -> None:
    """The columns of two bars hold pixels of the bar's colour in the ratio of the shares."""
    picture = np.asarray(draw(made(photo, "aaaaaa", "bbbbbb", shares=[0.2, 0.1])))
    columns = (picture == np.array(list(bytes.fromhex(POSITIVE[1:])))).all(axis=-1).sum(axis=0)
    heights = sorted(set(columns[columns > 0].tolist()))
    assert max(heights) == pytest.approx(2 * min(h for h in heights if h > 20), abs=3)


def test_words_without_any_share_are_drawn(photo: Path) -> None:
    assert draw(made(photo, "a", "bee", shares=[0.0, 0.0])).width == 1024


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (4000, 3000)])
@pytest.mark.slow
def test_photos_of_any_size_can_be_drawn(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, (200, 30, 30)).save(tmp_path / "photo.png")
    found = made(tmp_path / "photo.png", "bee", heat=np.eye(4), seen=(0.25, 0, 0.75, 1))
    write_png(found, tmp_path / "out.png")
    write_html(found, tmp_path / "out.html")


def test_high_heat_is_bright(photo: Path) -> None:
    heat = np.zeros((4, 4))
    heat[0, 3] = 1
    grey = np.asarray(
        overlay_heat(Image.new("RGB", (80, 80), (100, 100, 100)), made(photo, "bee", heat=heat))
    )
    brightest = np.unravel_index(int(grey.sum(axis=-1).argmax()), (80, 80))
    assert brightest[0] < 20 and brightest[1] >= 60


def test_the_photo_outside_the_models_view_is_dark(photo: Path) -> None:
    found = made(photo, "bee", heat=np.ones((4, 4)), seen=(0.25, 0, 0.75, 1))
    pixels = np.asarray(overlay_heat(Image.new("RGB", (80, 40), (200, 200, 200)), found))
    assert (pixels[:, :20] == 60).all() and (pixels[:, 60:] == 60).all()
    assert pixels[:, 20:60].min() > 60


def test_a_margin_that_only_the_model_sees_is_left_out(photo: Path) -> None:
    heat = np.zeros((4, 4))
    heat[1:3] = 1
    found = made(photo, "bee", heat=heat, seen=(0, -0.5, 1, 1.5))
    pixels = np.asarray(overlay_heat(Image.new("RGB", (80, 40), (100, 100, 100)), found))
    assert pixels.shape == (40, 80, 3)
    assert pixels[10:30].sum(axis=-1).min() > 350


def test_heat_without_positive_values_has_the_lowest_colour(photo: Path) -> None:
    image = Image.new("RGB", (8, 8), (100, 100, 100))
    none, below = (
        overlay_heat(image, made(photo, "bee", heat=np.full((4, 4), value))) for value in (0.0, -1.0)
    )
    assert np.array_equal(np.asarray(none), np.asarray(below))


def test_the_peak_is_given_as_fractions_of_the_photo(photo: Path) -> None:
    heat = np.zeros((4, 4))
    heat[0, 3] = 1
    assert peak_position(made(photo, "bee", heat=heat)) == pytest.approx((0.875, 0.125))
    assert peak_position(made(photo, "bee", heat=heat, seen=(0.5, 0, 1, 1))) == pytest.approx((0.9375, 0.125))


def test_the_page_is_self_contained_and_escapes_texts(photo: Path) -> None:
    out = photo.with_name("out.html")
    write_html(made(photo, "<script>alert(1)</script>", "&amp;", heat=np.eye(4)), out)
    text = out.read_text()
    assert "<script" not in text and "&lt;script&gt;" in text and "&amp;amp;" in text
    assert re.findall(r'(?:src|href)="(?!data:image/jpeg;base64,)', text) == []
    assert "http" not in text and "@import" not in text and "url(" not in text
    assert len(re.findall("<img ", text)) == 2


def test_a_file_that_can_not_be_written_leaves_nothing(photo: Path) -> None:
    found = made(photo, "bee")
    with pytest.raises(LibraryError, match="can't write"):
        write_png(found, photo.parent / "none" / "out.png")
    photo.unlink()
    with pytest.raises(PhotoError):
        write_html(found, photo.with_name("out.html"))
    assert list(photo.parent.iterdir()) == []


def test_the_terminal_has_every_number(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_explanation(made(photo, "a", "bee", shares=[-0.05, 0.1], heat=np.eye(4)))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert [line.split() for line in out.splitlines() if line.startswith(("a ", "bee "))] == [
        ["a", "-0.050", "0.001", "-0.020"],
        ["bee", "+0.100", "0.001", "-0.020"],
    ]
    assert "score 0.300 with photo.png, model fake" in out
    assert "add up to +0.050; the score without words is 0.250" in out
    assert "region of 'a bee' by occlusion" in out


def test_captions_say_what_is_a_view_of_the_model(photo: Path) -> None:
    assert "a view of the model, not an explanation" in words_caption(made(photo, "bee", method="attention"))
    assert "view" not in words_caption(made(photo, "bee"))

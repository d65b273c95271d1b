"""Explanations as a whole: parts, words and a region that fit together, and what can't be explained."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsight import Library
from clipsight.cli.search import print_explanations
from clipsight.core.errors import ModelError, PhotoError, QueryError
from clipsight.explain import explanation
from clipsight.explain.base import Explanation, Model
from clipsight.explain.explanation import explain, region_explainer, seen_box, word_explainer
from clipsight.explain.registry import METHODS, Method
from clipsight.models.preprocess import PreprocessConfig
from clipsight.search.query import Query
from tests.support.fake import FakeModel, make_folder


def asked(query: str, photo: Path, model: Model | None = None, **options: object) -> Explanation:
    return explain(Query.parse(query), photo, model or FakeModel(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("query", ["bee", "a red bee", "flower + 2:bee - cartoon", "- cartoon", "2:a dog"])
def test_shares_of_parts_add_up_to_the_score(query: str, photos: Path) -> None:
    found = asked(query, photos / "cat.png", region=False)
    assert sum(part.share for part in found.parts) == pytest.approx(found.score, abs=1e-12)


@pytest.mark.slow
def test_the_score_is_that_of_a_search(tmp_path: Path, photos: Path) -> None:
    with Library.open(tmp_path / "library", model=str(make_folder(tmp_path / "model"))) as library:
        library.index(photos)
        for query in ("a cat + flower", f"{photos / 'coffee.png'} + 2:cat", "cat - rocket"):
            (match,) = (m for m in library.search(query, top=20) if m.path.name == "cat.png")
            found = library.explain(query, photos / "cat.png", region=False)
            assert found.score == pytest.approx(match.score, abs=2e-3)  # the library keeps float16
            assert found.model == "tiny"


@pytest.mark.slow
def test_the_first_matches_of_a_search_are_explained(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Library.open(tmp_path / "library", model=str(make_folder(tmp_path / "model"))) as library:
        library.index(photos)
        query = Query.parse("a red flower + cat")
        matches = library.search(query)
        matches[1].path.unlink()
        print_explanations(library, query, matches)
    out, err = capsys.readouterr()
    names = [line.split()[3].rstrip(",") for line in out.splitlines() if line.startswith("score")]
    assert names == [matches[0].path.name, matches[2].path.name]
    assert "flower" in out and "region" not in out
    assert err.count("can't explain") == 1 and matches[1].path.name in err


def test_contributions_of_words_add_up_to_the_score_minus_that_of_empty_texts(photos: Path) -> None:
    model = FakeModel()
    found = asked("a red bee - old cartoon", photos / "cat.png", model, region=False)
    photo = model.encode_pixels([model.preprocess(Image.open(photos / "cat.png").convert("RGB"))])[0]
    empty = float(model.encode_texts([""])[0].astype(np.float64) @ photo)
    without = sum(part.coefficient * empty for part in found.parts)
    assert sum(word.contribution for word in found.words) == pytest.approx(found.score - without, abs=1e-7)
    assert [word.word for word in found.words] == ["a", "red", "bee", "old", "cartoon"]
    assert [part.part for part in found.parts] == ["a red bee", "- old cartoon"]
    assert found.additive


def test_a_picture_has_a_share_but_no_words(photos: Path) -> None:
    found = asked(f"{photos / 'flower.jpg'} + 2:bee", photos / "cat.png")
    assert found.parts[0].words == () and found.parts[0].share != 0
    alone = asked(str(photos / "flower.jpg"), photos / "cat.png")
    assert alone.words == () and alone.region is not None


def test_json_is_as_documented(photos: Path) -> None:
    one = json.loads(json.dumps(asked("red bee", photos / "cat.png").to_dict()))
    assert list(one) == ["score", "method", "words", "region"]
    assert [list(word) for word in one["words"]] == [["word", "contribution", "stderr"]] * 2
    assert one["method"] == "occlusion" and one["words"][0]["stderr"] == 0
    assert list(one["region"]) == ["of", "method", "unit", "seen", "heat"]
    two = json.loads(json.dumps(asked("bee - cartoon", photos / "cat.png", region=False).to_dict()))
    assert two["region"] is None
    assert [part["part"] for part in two["parts"]] == ["bee", "- cartoon"]
    assert sum(part["share"] for part in two["parts"]) == pytest.approx(two["score"], abs=2e-6)


@pytest.mark.parametrize("word", ["bee", "Red", "red bee", "RED BEE"])
def test_the_region_of_a_word(word: str, photos: Path) -> None:
    found = asked("a red bee - cartoon", photos / "cat.png", word=word)
    alone = asked(word, photos / "cat.png")
    assert found.region is not None and alone.region is not None
    assert np.array_equal(found.region.heat, alone.region.heat)
    assert found.region_of == word


@pytest.mark.parametrize("word", ["wasp", "be", "bee red", "", "red - cartoon"])
def test_a_word_that_is_not_in_the_query(word: str, photos: Path) -> None:
    with pytest.raises(QueryError, match="is not in the query, which has a, red, bee, cartoon"):
        asked("a red bee - cartoon", photos / "cat.png", word=word)


def test_a_text_longer_than_the_context_is_truncated_and_noted(photos: Path) -> None:
    found = asked("one two three four five", photos / "cat.png", FakeModel(context_length=3), region=False)
    # The fourth word is the first that does not fit whole: in a real model its first piece may.
    assert [word.word for word in found.words] == ["one", "two", "three", "four"]
    assert found.notes == ("fake reads 3 tokens: only the first 4 words count",)


def test_an_unknown_method_is_an_error_that_lists_the_methods(photos: Path) -> None:
    with pytest.raises(ModelError, match="no method 'lime': choose occlusion, attention"):
        asked("bee", photos / "cat.png", method="lime")


@pytest.mark.torch
def test_a_method_that_does_not_support_the_model_names_others(photos: Path) -> None:
    with pytest.raises(ModelError, match=r"can't explain fake, .*: choose occlusion"):
        asked("bee", photos / "cat.png", method="attention")


def test_without_torch_the_error_says_how_to_install_it(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"needs torch: choose occlusion, or pip install '\.\[train\]'"):
        asked("bee", photos / "cat.png", method="attention")


def test_occlusion_fills_in_for_what_a_method_does_not_compute(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = Method("words-only", "", "view", "occlusion:OcclusionWords", None)
    monkeypatch.setitem(explanation.METHODS, "words-only", words)  # type: ignore[attr-defined]
    found = asked("bee", photos / "cat.png", method="words-only")
    assert found.method == "words-only" and found.kind == "view"
    assert found.region is not None and found.region.method == "occlusion"


@pytest.mark.torch
def test_every_method_can_be_imported_from_its_registered_module() -> None:
    for method in METHODS.values():
        assert method.words or method.regions
        for explainer in (
            word_explainer(method),
            region_explainer(method),
        ):
            assert not explainer or callable(explainer.unsupported)


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (200, 30, 30, 90)), ("LA", (90, 0)), ("L", 7)])
def test_a_photo_with_alpha_or_of_grey(mode: str, colour: object, tmp_path: Path) -> None:
    Image.new(mode, (40, 30), colour).save(tmp_path / "photo.png")  # type: ignore[arg-type]
    found = asked("bee", tmp_path / "photo.png")
    assert found.region is not None and np.isfinite(found.region.heat).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (6000, 4000)])
@pytest.mark.slow
def test_a_photo_of_any_size(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, (200, 30, 30)).save(tmp_path / "photo.png")
    found = asked("bee", tmp_path / "photo.png")
    assert found.region is not None and np.isfinite(found.region.heat).all()


def test_an_unreadable_photo_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear Sir or Madam")
    with pytest.raises(PhotoError, match=r"can't explain .*letter\.jpg: not an image: the file is text"):
        asked("bee", tmp_path / "letter.jpg")
    with pytest.raises(PhotoError, match=r"can't explain .*none\.jpg: can't be read: No such file"):
        asked("bee", tmp_path / "none.jpg")


@pytest.mark.parametrize(
    ("mode", "size", "box"),
    [
        ("shortest", (200, 100), (0.25, 0, 0.75, 1)),
        ("shortest", (100, 200), (0, 0.25, 1, 0.75)),
        ("shortest", (50, 50), (0, 0, 1, 1)),
        ("squash", (200, 100), (0, 0, 1, 1)),
        ("longest", (200, 100), (0, -0.5, 1, 1.5)),
    ],
)
def test_the_box_that_the_model_sees(mode: str, size: tuple[int, int], box: tuple[float, ...]) -> None:
    assert seen_box(*size, PreprocessConfig(size=(32, 32), resize_mode=mode)) == pytest.approx(box)

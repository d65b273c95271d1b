"""The stage as a whole on tiny towers: lessons from the data folders, training, and a folder that opens."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("opencc")

from clipsight.models.encoder import Encoder  # noqa: E402
from clipsight.models.folder import ModelFolder  # noqa: E402
from recipes.builtin import lessons, multilingual, teacher  # noqa: E402
from recipes.builtin.data import Photo  # noqa: E402
from recipes.builtin.distil import DistilConfig  # noqa: E402
from recipes.builtin.e5 import read_e5  # noqa: E402
from recipes.builtin.joint import Parts  # noqa: E402
from recipes.builtin.languages import PAIRS, Pair  # noqa: E402
from recipes.builtin.model import FEATURES, TAP_WIDTH, WIDTH, Builtin  # noqa: E402
from recipes.builtin.towers import ImageTower, TextShape, TextTower  # noqa: E402
from tests.recipes.builtin_data import write_captions, write_everyday, write_pairs  # noqa: E402
from tests.recipes.test_builtin_vocabulary import write_e5  # noqa: E402

pytestmark = pytest.mark.torch

_PARTS = Parts(caption=10, conse=6, weight=0.3)


def _photos() -> list[Photo]:
    splits = ("train", "train", "train", "dev", "test")
    return [
        Photo(f"captioned/{i}.jpg", "flickr", split, (f"two dog {i}", "a dog"), f"{i}.jpg")
        for i, split in enumerate(splits)
    ]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_everyday(tmp_path)
    for name in PAIRS:
        write_pairs(
            tmp_path, name, [("de", "two dog", "two hund"), ("zh", "dog", "狗"), ("sw", "dog", "mbwa")]
        )
    write_captions(tmp_path, "zh", [(f"{i}.jpg", f"汽车{i}") for i in range(5)])
    for name in ("zh_translated", "de", "fr", "ar"):
        write_captions(tmp_path, name, [("3.jpg", "hund")])
    (tmp_path / "coco_val2017_captions.txt").write_text("a dog on a hat\n")
    return tmp_path


def test_captions_of_held_out_photos_are_unseen(data: Path) -> None:
    unseen = lessons.unseen_texts(data, _photos())
    assert {"two dog 3", "two dog 4", "汽车3", "汽车4", "hund"} <= set(unseen)
    assert not {"two dog 0", "汽车0"} & set(unseen)


def test_pairs_hold_english_traditional_chinese_prompts_and_mixed_words(data: Path) -> None:
    pairs = lessons.taught_pairs(data, _photos(), "all")
    found = {(pair.language, pair.translation) for pair in pairs}
    assert ("en", "two dog 0") in found
    assert ("en", "two dog 3") not in found
    assert ("en", "a dog on a hat") in found
    assert ("zh-Hant", "狗") in found
    assert ("zh", "一张狗的照片") in found
    assert any(language == "de" and text == "ein Foto von two dog" for language, text in found)


def test_free_licences_leave_out_research_sets(data: Path) -> None:
    pairs = lessons.taught_pairs(data, _photos(), "free")
    assert {pair.source for pair in pairs} == {"english", "emoji_names_cldr", "tatoeba"}
    assert not any(pair.english == "two dog 0" for pair in pairs)  # Flickr8k's captions
    captions = lessons.photo_captions(data, _photos(), "free")
    assert [set(each) for each in captions] == [{"en"}] * 5


def test_captions_by_language_and_in_both_kinds_of_characters(data: Path) -> None:
    captions = lessons.photo_captions(data, _photos(), "all")
    assert captions[0]["zh"] == ("汽车0",)
    assert captions[0]["zh-Hant"] == ("汽車0",)
    assert "de" not in captions[0]
    assert captions[3]["fr"] == ("hund",)


def test_shares_sum_to_one_and_favour_the_promised() -> None:
    shares = lessons.shares_of(["en", "zh", "zh-Hant", "de", "fr", "sw", "th"])
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["de"] == shares["fr"] > shares["sw"] == shares["th"]


def test_equal_english_shares_a_row_of_the_teacher(data: Path) -> None:
    from recipes.builtin.vocabulary import lower_vocabulary

    write_e5(data / "e5.bin")
    tokenizer = lower_vocabulary(read_e5(data / "e5.bin")).tokenizer()
    pairs = [Pair("en", "dog", "dog", "x"), Pair("de", "dog", "hund", "x"), Pair("de", "two", "two", "x")]
    asked: list[str] = []

    def answer(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return np.eye(len(texts), 16, dtype=np.float32)

    built = lessons.build_lessons(pairs, [], [], np.array([]), tokenizer, answer)  # type: ignore[arg-type]
    assert asked == ["dog", "two"]
    assert built.targets["de"].tolist() == [0, 1]
    assert built.targets["en"].tolist() == [0]


def _teacher(monkeypatch: pytest.MonkeyPatch) -> teacher.Teacher:
    torch.manual_seed(0)
    shape = TextShape(vocabulary=60, positions=80, layers=1)
    classes = torch.nn.functional.normalize(torch.randn(1000, WIDTH), dim=1)
    builtin = Builtin(ImageTower(), TextTower(shape), classes, 16, 0.0)
    # The published tokenizer comes with its package; any rule that tells texts apart will do.
    monkeypatch.setattr(
        teacher, "tokenise", lambda texts: [[1, *(ord(c) % 50 + 5 for c in t), 2] for t in texts]
    )
    return teacher.Teacher(
        builtin, TextTower(shape), _PARTS, torch.linalg.qr(torch.randn(WIDTH, WIDTH)).Q[:10]
    )


def test_teacher_joins_both_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = _teacher(monkeypatch)
    texts, pooled = made.texts(["a dog", "two", "a dog"]), torch.rand(2, FEATURES)
    assert texts.shape == (3, 16)
    assert np.array_equal(texts[0], texts[2])
    assert np.linalg.norm(texts, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert made.texts([]).shape == (0, 16)
    shares = (made.model.image.classifier(pooled[:, TAP_WIDTH:]).softmax(-1) - 0.003).clamp(min=0)
    known = torch.nn.functional.normalize(shares @ made.classes, dim=1) * 0.3**0.5
    if bool((shares.sum(1) > 0).all()):
        assert made.photos(pooled)[:, 10:] == pytest.approx(known.detach().numpy(), abs=1e-5)


def test_the_stage_writes_a_folder_that_opens(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_e5(data / "e5.bin")
    sources = multilingual.Sources(data, _photos())
    config = DistilConfig(steps=2, pairs=6, captions=3, hidden=8, every=1)
    made = _teacher(monkeypatch)
    views = [np.random.default_rng(0).random((5, FEATURES), dtype=np.float32)]
    tower = multilingual.prepare(sources, made, views, read_e5(data / "e5.bin"), config, size=24, layers=(1,))
    assert len(tower.lessons.captions) == 3
    lines: list[str] = []
    multilingual.teach(tower, config, data / "student.pt", lines.append)
    assert len(lines) == 2
    images = made.photos(torch.from_numpy(views[0]))
    assert multilingual.dev_recall(tower, sources, images, "zh") == [100.0] * 3  # one photo
    assert multilingual.dev_recall(tower, sources, images, "ar") == [100.0] * 3
    assert multilingual.dev_recall(tower, sources, images, "ja") is None
    about: dict[str, object] = {"logit_scale": 20.0, "languages": ["en"]}
    multilingual.write(data / "model", made, tower, about)
    encoder = Encoder(ModelFolder.read(data / "model"))
    assert encoder.encode_texts(["Two DOG", "two dog"]).shape == (2, 16)

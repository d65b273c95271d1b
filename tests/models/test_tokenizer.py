"""Ids equal to those of transformers' CLIPTokenizer, and the text processing of other models."""

import html
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from clipsight.core.errors import ModelError
from clipsight.models.clip_bpe import END, START, clip_tokenizer, clip_vocabulary, read_merges
from clipsight.models.folder import ModelFolder
from clipsight.models.tokenizer import Tokenizer, canonicalise
from tests.support.properties import examples
from tests.support.tiny_models import make_model_folder

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

needs_transformers = pytest.mark.slow  # importing it takes seconds


@pytest.fixture(scope="module")
def reference() -> "CLIPTokenizer":
    from transformers import CLIPTokenizer

    merges = read_merges()
    return CLIPTokenizer(vocab=clip_vocabulary(merges), merges=merges)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer(ModelFolder.read(make_model_folder(tmp_path_factory.mktemp("clip"))))


def expected(reference: "CLIPTokenizer", texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    out = reference(texts, padding="max_length", truncation=True, max_length=77, return_tensors="np")
    return out["input_ids"], out["attention_mask"]


def generated_texts(count: int) -> list[str]:
    """Texts of every kind of character, seeded: the same in every run."""
    rng = random.Random(20261121)
    words = ["a", "photo", "of", "the", "dog", "cat's", "beach", "I'll", "we've", "2", "dogs"]
    words += ["1984", "DON'T", "Zürich", "naïve", "co-op", "<|endoftext|>"]
    ranges = [(0x20, 0x7E), (0, 0x1F), (0x7F, 0xA0), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x5FF)]
    ranges += [(0x900, 0xDFF), (0x1E00, 0x20CF), (0x2100, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF)]
    ranges += [(0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0xFE00, 0xFFFD), (0x1F300, 0x1FAFF), (0x1D400, 0x1D7FF)]
    entities = sorted(html.entities.html5)
    spaces = [" ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", "\x1c", "\x85"]

    def piece() -> str:
        kind = rng.randrange(6)
        if kind == 0:
            return rng.choice(words)
        if kind == 1:
            return "&" + rng.choice(entities)
        if kind == 2:
            return rng.choice(spaces)
        if kind == 3:
            return str(rng.randrange(10**9)) + rng.choice(["", "°", "%", "€", "½", "²"])
        low, high = rng.choice(ranges)
        return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6)))

    return ["".join(piece() + rng.choice(["", " "]) for _ in range(rng.randint(0, 40))) for _ in range(count)]


@needs_transformers
def test_ids_equal_clips_on_2000_generated_texts(clip: Tokenizer, reference: "CLIPTokenizer") -> None:
    texts = generated_texts(2000)
    assert len(set(texts)) > 1900
    ids, mask = expected(reference, texts)
    tokens = clip(texts)
    assert tokens.ids.dtype == tokens.mask.dtype == np.int32
    np.testing.assert_array_equal(tokens.ids, ids)
    np.testing.assert_array_equal(tokens.mask, mask)
    assert 100 < sum(tokens.truncated) < 1900


@needs_transformers
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x00",
        "a\x1cb",
        "Straße İstanbul ǅ ﬁ",
        "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 ☃️",
        "&amp;amp; &lt;b&gt; &#128512; &nbsp;",
        "e\u0301 vs é, \u1100\u1161\u11a8",
        "'s 'S I'M you'LL",
        "<|startoftext|>a<|endoftext|>b",
        "word" * 5000,
        "long text " * 20000,
        "🙂" * 3000,
        "\n\t a \u3000 photo\u2028\u00a0",
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_ids_equal_clips_on_unusual_texts(clip: Tokenizer, reference: "CLIPTokenizer", text: str) -> None:
    np.testing.assert_array_equal(clip([text]).ids, expected(reference, [text])[0])


@needs_transformers
@examples(200)
@given(text=st.text(max_size=200))
def test_ids_equal_clips_on_any_text(clip: Tokenizer, reference: "CLIPTokenizer", text: str) -> None:
    np.testing.assert_array_equal(clip([text]).ids, expected(reference, [text])[0])


@pytest.mark.slow
def test_known_ids() -> None:
    # What clip.tokenize gives for the example in the README of https://github.com/openai/CLIP.
    texts = ["a diagram", "a dog", "a cat"]
    middles = [encoding.ids[1:-1] for encoding in clip_tokenizer().encode_batch(texts)]
    assert middles == [[320, 22697], [320, 1929], [320, 2368]]
    vocabulary = clip_vocabulary(read_merges())
    assert len(vocabulary) == 49408
    assert (vocabulary[START], vocabulary[END]) == (49406, 49407)


@needs_transformers
def test_the_tokenizer_file_equals_that_of_transformers(reference: "CLIPTokenizer") -> None:
    ours, theirs = (json.loads(one.to_str()) for one in (clip_tokenizer(), reference.backend_tokenizer))
    assert ours == theirs | {"padding": None, "truncation": None}


def test_long_texts_are_cut_and_reported(clip: Tokenizer) -> None:
    tokens = clip(["dog " * 75, "dog " * 76, "dog"])
    assert tokens.truncated == (False, True, False)
    assert tokens.ids.shape == (3, 77)
    assert tokens.ids[0].tolist() == tokens.ids[1].tolist()
    assert tokens.ids[1, -1] == 49407
    assert tokens.mask.sum(axis=1).tolist() == [77, 77, 3]


def test_padding_to_the_longest_only(clip: Tokenizer) -> None:
    tokens = clip(["a", "a red dog"], pad_to_context=False)
    assert tokens.ids.shape == (2, 5)
    assert tokens.mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    np.testing.assert_array_equal(tokens.ids, clip(["a", "a red dog"]).ids[:, :5])


def test_no_texts(clip: Tokenizer) -> None:
    assert clip([]).ids.shape == (0, 77)
    assert clip([], pad_to_context=False).ids.shape == (0, 1)


def test_bytes_of_a_terminal_that_are_not_utf8(clip: Tokenizer) -> None:
    broken = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert clip([broken]).ids.tolist() == clip(["caf\ufffd"]).ids.tolist()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("A photo, of a DOG!", "a photo of a dog"),
        ("  rock_and_roll \n\t now ", "rock and roll now"),
        ("it's (100%) real: #1...", "its 100 real 1"),
        ("rock &amp;amp; roll", "rock roll"),
        ("Ünïcödé — stays “quoted”", "ünïcödé — stays “quoted”"),
        ("?!", ""),
    ],
)
def test_canonical_text(text: str, clean: str) -> None:
    assert canonicalise(text) == clean


def with_tokenizer(path: Path, backend: Backend, config: object, **text_config: object) -> ModelFolder:
    """A model folder with a tokenizer of its own."""
    make_model_folder(path, context=8, text_config=text_config)
    (path / "textual" / "tokenizer.json").write_text(backend.to_str())
    file = path / "textual" / "tokenizer_config.json"
    file.unlink()
    if config is not None:
        file.write_text(json.dumps(config))
    return ModelFolder.read(path)


def words(*special: str, end: str | None = None) -> Backend:
    """A tokenizer of whole words."""
    known = [*special, "<unk>", "a", "red", "dog", "A", "dog!", "_", "red_dog", "[SEP]"]
    backend = Backend(models.WordLevel({word: index for index, word in enumerate(known)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    if end:
        backend.post_processor = processors.TemplateProcessing(
            single=f"$A {end}", special_tokens=[(end, known.index(end))]
        )
    return backend


def decoded(tokenizer: Tokenizer, backend: Backend, text: str) -> list[str | None]:
    return [backend.id_to_token(int(token)) for token in tokenizer([text]).ids[0]]


@pytest.mark.parametrize(
    "config", [{"pad_token": "<pad>"}, {"pad_token": {"content": "<pad>", "lstrip": False}}]
)
def test_the_padding_token_is_read_from_its_config(tmp_path: Path, config: object) -> None:
    folder = with_tokenizer(tmp_path / "m", words("</s>", "<pad>", end="</s>"), config)
    assert decoded(Tokenizer(folder), words("</s>", "<pad>"), "a dog") == ["a", "dog", "</s>", *["<pad>"] * 5]


def test_the_padding_token_is_that_of_the_tokenizer_file(tmp_path: Path) -> None:
    backend = words("</s>", "<pad>")
    backend.enable_padding(length=3, pad_id=1, pad_token="<pad>")
    backend.enable_truncation(2)
    folder = with_tokenizer(tmp_path / "m", backend, None)
    assert decoded(Tokenizer(folder), backend, "a red dog") == ["a", "red", "dog", *["<pad>"] * 5]


@pytest.mark.parametrize("config", [None, {}, {"pad_token": None}])
def test_a_folder_without_a_padding_token_is_an_error(tmp_path: Path, config: object) -> None:
    with pytest.raises(ModelError, match="what to pad with"):
        Tokenizer(with_tokenizer(tmp_path / "m", words(), config))


def test_an_unknown_padding_token(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no token '<pad>'.*pad_token"):
        Tokenizer(with_tokenizer(tmp_path / "m", words(), {"pad_token": "<pad>"}))


@pytest.mark.parametrize("content", ["{", "[]", "\udcff"])
def test_a_damaged_tokenizer_config(tmp_path: Path, content: str) -> None:
    folder = with_tokenizer(tmp_path / "m", words(), {})
    (folder.path / "textual" / "tokenizer_config.json").write_bytes(
        content.encode("utf-8", "surrogateescape")
    )
    with pytest.raises(ModelError, match=r"tokenizer_config\.json"):
        Tokenizer(folder)


def test_a_damaged_tokenizer(tmp_path: Path) -> None:
    folder = with_tokenizer(tmp_path / "m", words(), {})
    (folder.path / "textual" / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"textual/tokenizer\.json can't be read"):
        Tokenizer(folder)


@pytest.mark.parametrize(
    ("clean", "tokens"),
    [
        (None, ["A", "red_dog", "dog!"]),
        ("whitespace", ["A", "red_dog", "dog!"]),
        ("lower", ["a", "red_dog", "dog!"]),
        ("whitespace_underscore", ["A", "red", "dog", "dog!"]),
        ("canonicalize", ["a", "red", "dog", "dog"]),
    ],
)
def test_text_cleaning_functions_of_openclip(tmp_path: Path, clean: str | None, tokens: list[str]) -> None:
    backend = words("<pad>")
    folder = with_tokenizer(
        tmp_path / "m", backend, {"pad_token": "<pad>"}, tokenizer_kwargs={"clean": clean}
    )
    padded = tokens + ["<pad>"] * (8 - len(tokens))
    assert decoded(Tokenizer(folder), backend, " A \n red_dog  dog! ") == padded


def test_an_unknown_cleaning_function(tmp_path: Path) -> None:
    folder = with_tokenizer(
        tmp_path / "m", words("<pad>"), {"pad_token": "<pad>"}, tokenizer_kwargs={"clean": "x"}
    )
    with pytest.raises(ModelError, match="clean = 'x'; it may be canonicalize, lower"):
        Tokenizer(folder)


def test_the_separator_is_stripped_if_configured(tmp_path: Path) -> None:
    backend = words("<pad>", end="[SEP]")
    for strip, last in ((False, "[SEP]"), (True, "<pad>")):
        kwargs = {"strip_sep_token": strip}
        folder = with_tokenizer(
            tmp_path / str(strip), backend, {"pad_token": "<pad>"}, tokenizer_kwargs=kwargs
        )
        assert decoded(Tokenizer(folder), backend, "a dog") == ["a", "dog", last, *["<pad>"] * 5]


def nllb() -> Backend:
    """As NLLB's is saved: subwords that begin with a space mark, English as the source language."""
    pieces = ["<pad>", "</s>", "<unk>", "▁a", "▁dog", "▁chien", "▁un", "dog", "▁"]
    codes = ["eng_Latn", "fra_Latn", "zho_Hans"]
    known = {piece: index for index, piece in enumerate(pieces + codes)}
    backend = Backend(models.WordLevel(known, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Replace("  ", " ")])
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.add_special_tokens([AddedToken(code, normalized=False) for code in ["<pad>", "</s>", *codes]])
    backend.post_processor = processors.TemplateProcessing(
        single="eng_Latn $A </s>",
        special_tokens=[("eng_Latn", known["eng_Latn"]), ("</s>", known["</s>"])],
    )
    return backend


@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        (None, "a dog", ["eng_Latn", "▁a", "▁dog", "</s>"]),
        ("fra_Latn", "un chien", ["fra_Latn", "▁un", "▁chien", "</s>"]),
        (None, "fra_Latn un chien", ["fra_Latn", "▁un", "▁chien", "</s>"]),
        ("fra_Latn", "eng_Latn a dog", ["eng_Latn", "▁a", "▁dog", "</s>"]),
        (None, "a " * 20, ["eng_Latn", *["▁a"] * 6, "</s>"]),
    ],
)
def test_nllb_has_one_language_code_before_the_text(
    tmp_path: Path, language: str | None, text: str, tokens: list[str]
) -> None:
    kwargs = {} if language is None else {"tokenizer_kwargs": {"language": language}}
    folder = with_tokenizer(tmp_path / "m", nllb(), {"pad_token": "<pad>", "eos_token": "</s>"}, **kwargs)
    assert decoded(Tokenizer(folder), nllb(), text) == tokens + ["<pad>"] * (8 - len(tokens))


def test_nllb_with_an_unknown_language(tmp_path: Path) -> None:
    kwargs = {"language": "xxx_Latn"}
    folder = with_tokenizer(tmp_path / "m", nllb(), {"pad_token": "<pad>"}, tokenizer_kwargs=kwargs)
    with pytest.raises(ModelError, match="no language 'xxx_Latn'"):
        Tokenizer(folder)

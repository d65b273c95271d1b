"""Ranking of texts: equal to NumPy over all of them, embedded once, despite interruptions and damage."""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from clipsight.core.arrays import Float32
from clipsight.core.errors import LabelError, LibraryError, QueryError
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from clipsight.search import text_matching as texts_module
from clipsight.search.text_matching import TextMatch, embed_photo, match_texts
from tests.support.catalogs import start_python
from tests.support.properties import examples
from tests.support.tiny_models import make_model_folder

WORDS = ["a", "the", "red", "green", "dog", "cat", "bird", "tree", "on", "runs", "sits", "two", "photo", "of"]


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> Encoder:
    return Encoder(ModelFolder.read(tiny_model), threads=1)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts_module, "SHARD", 8)
    monkeypatch.setattr(texts_module, "_TEXTS_PER_BATCH", 3)


@pytest.fixture
def embedded(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The texts that the encoder was asked for."""
    asked: list[str] = []
    encode = encoder.encode_texts

    def listening(texts: list[str]) -> Float32:
        asked.extend(texts)
        return encode(texts)

    monkeypatch.setattr(encoder, "encode_texts", listening)
    yield asked


def some_texts(count: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, 12))) + f" {number}" for number in range(count)]


def some_vector(encoder: Encoder, text: str = "a red dog") -> Float32:
    vector: Float32 = encoder.encode_texts([text])[0]
    return vector


def written(file: Path, lines: list[str]) -> Path:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def expected(vector: Float32, lines: list[str], encoder: Encoder, top: int) -> list[TextMatch]:
    """By brute force over float16 vectors."""
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    kept = encoder.encode_texts([text for _, text in numbered]).astype(np.float16).astype(np.float32)
    matches = [
        TextMatch(*pair, score) for pair, score in zip(numbered, (kept @ vector).tolist(), strict=True)
    ]
    return sorted(matches, key=lambda match: (-match.score, match.line))[:top]


def same(found: list[TextMatch], wanted: list[TextMatch]) -> bool:
    """Whether they are the same lines in the same order, as far as float16 can tell scores apart."""
    scores = np.allclose([each.score for each in found], [each.score for each in wanted], atol=2e-3)
    return scores and len(found) == len(wanted)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 100])
@pytest.mark.parametrize("top", [1, 5, 200])
def test_equal_to_numpy(encoder: Encoder, tmp_path: Path, count: int, top: int) -> None:
    lines = some_texts(count)
    vector = some_vector(encoder)
    found = match_texts(vector, written(tmp_path / "texts.txt", lines), encoder, top)
    assert same(found, expected(vector, lines, encoder, top))
    assert all(lines[match.line - 1] == match.text for match in found)
    assert len({match.line for match in found}) == min(count, top)


@examples(25, HealthCheck.function_scoped_fixture)
@given(
    lines=st.lists(
        st.one_of(
            st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join),
            st.sampled_from(["", "  ", "\t", "\u3000", " padded ", "日本 dog"]),
        ),
        min_size=1,
        max_size=30,
    ),
    top=st.integers(1, 6),
    ending=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    last=st.booleans(),
)
@pytest.mark.slow
def test_any_lines_are_matched(
    encoder: Encoder, tmp_path: Path, lines: list[str], top: int, ending: str, mark: bytes, last: bool
) -> None:
    file = tmp_path / "texts.txt"
    file.write_bytes(mark + (ending.join(lines) + (ending if last else "")).encode())
    vector = some_vector(encoder)
    if not any(line.strip() for line in lines):
        with pytest.raises(LabelError, match="holds no text"):
            match_texts(vector, file, encoder, top)
        return
    found = match_texts(vector, file, encoder, top)
    assert same(found, expected(vector, lines, encoder, top))
    assert all(lines[match.line - 1].strip() == match.text for match in found)
    assert found == sorted(found, key=lambda match: (-match.score, match.line))


def test_texts_are_embedded_once(
    encoder: Encoder, embedded: list[str], tmp_path: Path, tiny_model: Path
) -> None:
    lines = some_texts(20)
    file = written(tmp_path / "texts.txt", lines)
    vector = some_vector(encoder)
    embedded.clear()
    heard: list[tuple[int, int]] = []
    first = match_texts(vector, file, encoder, 3, progress=lambda done, total: heard.append((done, total)))
    assert sorted(embedded) == sorted(lines)
    assert heard[0] == (0, 20) and heard[-1] == (20, 20) and sorted(heard) == heard
    embedded.clear()
    heard.clear()
    file.rename(tmp_path / "other name.txt")
    again = match_texts(
        vector, tmp_path / "other name.txt", encoder, 3, progress=lambda *now: heard.append(now)
    )
    assert again == first and embedded == [] and heard == []
    written(file, [*lines, "one more"])
    match_texts(vector, file, encoder, 3)
    assert len(embedded) == 21


def test_another_model_has_vectors_of_its_own(encoder: Encoder, tmp_path: Path) -> None:
    file = written(tmp_path / "texts.txt", some_texts(20))
    vector = some_vector(encoder)
    other = Encoder(ModelFolder.read(make_model_folder(tmp_path / "other", seed=5)), threads=1)
    assert match_texts(vector, file, encoder) != match_texts(vector, file, other)
    assert same(match_texts(vector, file, encoder), expected(vector, some_texts(20), encoder, 5))


def test_an_interrupted_run_continues(encoder: Encoder, embedded: list[str], tmp_path: Path) -> None:
    lines = some_texts(30)
    file = written(tmp_path / "texts.txt", lines)
    vector = some_vector(encoder)

    def stop(done: int, total: int) -> None:
        if done > 18:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        match_texts(vector, file, encoder, progress=stop)
    embedded.clear()
    found = match_texts(vector, file, encoder)
    assert sorted(embedded) == sorted(lines[16:])
    assert same(found, expected(vector, lines, encoder, 5))


_KILLED = """
import os, signal, sys
from pathlib import Path
from clipsight.search import text_matching as texts
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder

texts.SHARD = 8
encoder = Encoder(ModelFolder.read(Path(sys.argv[1])), threads=1)

def kill(done, total):
    if done >= int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

texts.match_texts(encoder.encode_texts(["a red dog"])[0], Path(sys.argv[2]), encoder, progress=kill)
"""


@pytest.mark.process
def test_a_killed_run_continues(
    encoder: Encoder, embedded: list[str], tmp_path: Path, tiny_model: Path, home: Path
) -> None:
    lines = some_texts(30)
    file = written(tmp_path / "texts.txt", lines)
    process = start_python(_KILLED, tiny_model, file, 20)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    vector = some_vector(encoder)
    embedded.clear()
    found = match_texts(vector, file, encoder)
    assert sorted(embedded) == sorted(lines[16:])
    assert same(found, expected(vector, lines, encoder, 5))
    assert [path.suffix for path in home.rglob("texts/*/*")] == [".faiss"] * 4


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "other size", "other model"])
def test_a_damaged_shard_is_rebuilt(
    encoder: Encoder, embedded: list[str], tmp_path: Path, home: Path, damage: str
) -> None:
    lines = some_texts(20)
    file = written(tmp_path / "texts.txt", lines)
    vector = some_vector(encoder)
    first = match_texts(vector, file, encoder)
    shards = sorted(home.rglob("*.faiss"))
    content = shards[1].read_bytes()
    match damage:
        case "empty":
            shards[1].write_bytes(b"")
        case "cut":
            shards[1].write_bytes(content[:-1])
        case "garbage":
            shards[1].write_bytes(bytes(range(256)) * 4)
        case "other size":
            shards[1].write_bytes(shards[2].read_bytes())
        case "other model":
            texts_module._write(np.ones((8, 4), np.float32), shards[1])
    embedded.clear()
    assert match_texts(vector, file, encoder) == first
    assert sorted(embedded) == sorted(lines[8:16])


def test_a_file_that_changes_meanwhile(encoder: Encoder, tmp_path: Path, home: Path) -> None:
    file = written(tmp_path / "texts.txt", some_texts(20))

    def meddle(done: int, total: int) -> None:
        if done > 8:
            written(file, some_texts(20, seed=1))

    with pytest.raises(LabelError, match="was changed while it was read"):
        match_texts(some_vector(encoder), file, encoder, progress=meddle)
    assert len(list(home.rglob("*.faiss"))) == 1  # the one that was embedded before
    assert len(match_texts(some_vector(encoder), file, encoder)) == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no text"),
        (b" \n\n\t\n", "holds no text"),
        (b"fine\ncaf\xe9\n", r"line 2 is not UTF-8 text"),
        (b"\xff\xd8\xff\xe0 a photo", r"line 1 is not UTF-8 text"),
    ],
)
def test_files_without_texts(encoder: Encoder, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "texts.txt").write_bytes(content)
    with pytest.raises(LabelError, match=message):
        match_texts(some_vector(encoder), tmp_path / "texts.txt", encoder)


def test_bad_input(encoder: Encoder, tmp_path: Path) -> None:
    vector = some_vector(encoder)
    with pytest.raises(LabelError, match=r"can't read .*No such file"):
        match_texts(vector, tmp_path / "none.txt", encoder)
    with pytest.raises(LabelError, match=r"can't read .*directory"):
        match_texts(vector, tmp_path, encoder)
    with pytest.raises(LabelError, match="at least 1"):
        match_texts(vector, written(tmp_path / "texts.txt", ["x"]), encoder, 0)


def test_vectors_that_can_not_be_written(encoder: Encoder, tmp_path: Path, home: Path) -> None:
    (home / "texts").write_text("a file where the folder should be")
    with pytest.raises(LibraryError, match="CLIPSIGHT_HOME"):
        match_texts(some_vector(encoder), written(tmp_path / "texts.txt", ["x"]), encoder)


def test_photos_by_path_and_address(encoder: Encoder, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_path = embed_photo(str(photos / "cat.png"), encoder)
    monkeypatch.setattr(
        "clipsight.indexing.media.fetch.fetch", lambda address: (photos / "cat.png").read_bytes()
    )
    np.testing.assert_allclose(embed_photo("https://example.org/cat.png", encoder), by_path, atol=1e-6)
    assert by_path.shape == (encoder.dim,)


@pytest.mark.parametrize("photo", ["a dog", "no.jpg", "./no.jpg", "- ./cat.png", "", "a + b"])
def test_arguments_that_are_not_photos(encoder: Encoder, photo: str) -> None:
    with pytest.raises(QueryError):
        embed_photo(photo, encoder)

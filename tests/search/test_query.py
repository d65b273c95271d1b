"""The query grammar, and the parts of a query."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipsight import Library
from clipsight.core.errors import QueryError
from clipsight.indexing.media import fetch
from clipsight.models.folder import ModelFolder
from clipsight.search.query import Kind, Part, Query, coefficients, combine, embed_parts, language_notes
from tests.support.arrays import random_unit, unit
from tests.support.fake import DIM, FakeModel
from tests.support.tiny_models import make_model_folder

WORDS = st.lists(st.sampled_from(["red", "dog", "t-shirt", "New", "Year's", "été", "狗", "3"]), min_size=1)
WEIGHTS = st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.5])
PARTS = st.builds(
    Part,
    st.just(Kind.TEXT),
    WORDS.map(" ".join),
    st.builds(lambda w, s: w * s, WEIGHTS, st.sampled_from([1, -1])),
)


@given(st.lists(PARTS, min_size=1, max_size=5))
@pytest.mark.slow
def test_a_query_round_trips_as_text(parts: list[Part]) -> None:
    query = Query(tuple(parts))
    assert Query.parse(str(query)) == query


@given(st.lists(PARTS, min_size=1, max_size=4))
@pytest.mark.slow
def test_options_and_grammar_agree(parts: list[Part]) -> None:
    added = [str(part) for part in parts if part.weight > 0]
    subtracted = [str(part) for part in parts if part.weight < 0]
    by_options = Query.parse("", add=added, subtract=subtracted)
    assert sorted(map(str, by_options.parts)) == sorted(map(str, parts))
    assert {part.weight for part in by_options.parts} == {part.weight for part in parts}


@given(st.text(max_size=60))
@example(";:0\n0")
def test_any_text_is_a_query_or_a_query_error(text: str) -> None:
    try:
        query = Query.parse(text)
    except QueryError as error:
        assert "\n" not in str(error).replace(text, "")
    else:
        assert query.parts and all(part.value for part in query.parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("two dogs on a beach", [("two dogs on a beach", 1)]),
        ("flower + 2:bee - cartoon", [("flower", 1), ("bee", 2), ("cartoon", -1)]),
        ("- cartoon", [("cartoon", -1)]),
        ("  flower  ", [("flower", 1)]),
        ("black-and-white t-shirt", [("black-and-white t-shirt", 1)]),
        (".5:sky", [("sky", 0.5)]),
        ("2: bee", [("bee", 2)]),
        ("Title: a poster", [("Title: a poster", 1)]),
        ("1:10:30 train", [("10:30 train", 1)]),
        ("dog - -2:cat", [("dog", 1), ("cat", 2)]),
        ("12:30 clock", [("12:30 clock", 1)]),
        ("16:9 + film", [("16:9", 1), ("film", 1)]),
        ("animal -cat", [("animal", 1), ("cat", -1)]),
    ],
)
def test_grammar(text: str, parts: list[tuple[str, float]]) -> None:
    assert [(part.value, part.weight) for part in Query.parse(text).parts] == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "+",
        "-",
        "2:",
        "a + ",
        "a + - b",
        "two:bee",
        "nan:bee",
        "1e999:bee",
        "./none.jpg",
        "none.jpg",
    ],
)
def test_errors(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QueryError):
        Query.parse(text)


def test_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pool.jpg", "a - b.jpg", "2:1.png"):
        Path(name).touch()
    kinds = [(part.kind, part.value) for part in Query.parse("./pool.jpg + dogs - pool.jpg").parts]
    assert kinds == [(Kind.PICTURE, "./pool.jpg"), (Kind.TEXT, "dogs"), (Kind.PICTURE, "pool.jpg")]
    assert Query.parse("a - b.jpg").parts == (Part(Kind.PICTURE, "a - b.jpg"),)
    assert Query.parse("2:1.png").parts == (Part(Kind.PICTURE, "2:1.png"),)
    assert Query.parse("3:pool.jpg").parts == (Part(Kind.PICTURE, "pool.jpg", 3.0),)
    address = Query.parse("2:https://example.org/a.jpg - http://example.org/b")
    assert [(part.kind, part.weight) for part in address.parts] == [(Kind.URL, 2), (Kind.URL, -1)]
    assert Query.parse("dogs + ./pool.jpg").is_mixed and not Query.parse("dogs + cats").is_mixed


def test_a_word_that_is_also_a_file_name_is_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dog").touch()
    assert Query.parse("dog + cat").parts[0] == Part(Kind.TEXT, "dog")
    assert Query.parse("./dog + cat").parts[0] == Part(Kind.PICTURE, "./dog")


def test_an_unbalanced_query_is_the_normalised_weighted_sum() -> None:
    vectors = random_unit(3, 16)
    found = combine(Query.parse("a + 2:b - c"), vectors, None)
    expected = vectors[0] + 2.0 * vectors[1] - vectors[2]
    assert found == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)


@given(st.integers(0, 1000))
def test_balanced_ranking_is_that_of_summed_standard_scores(seed: int) -> None:
    library, vectors = random_unit(200, 16, seed), random_unit(3, 16, seed + 1)
    query = Query.parse("a + 2:b - c")
    scores = library.astype(np.float64) @ vectors.T.astype(np.float64)
    standard = (scores - scores.mean(axis=0)) / scores.std(axis=0) @ np.array([1, 2, -1])
    balanced = library.astype(np.float64) @ combine(query, vectors, library)
    assert np.argsort(-balanced)[:20].tolist() == np.argsort(-standard)[:20].tolist()


def test_parts_that_cancel_out_and_a_library_of_equal_photos() -> None:
    vectors = random_unit(1, 16, 1).repeat(2, axis=0)
    with pytest.raises(QueryError, match="cancel"):
        combine(Query.parse("a - a"), vectors, None)
    alike = random_unit(1, 16, 2).repeat(50, axis=0)
    two = random_unit(2, 16, 3)
    query = Query.parse("a + b")
    assert np.array_equal(combine(query, two, alike), combine(query, two, None))


# -- coefficients of the parts ----------------------------------------------------


@pytest.mark.parametrize(
    "text", ["bee", "- cartoon", "flower + 2:bee - cartoon", "bee + bee + 3:bee", "0:a + b"]
)
@pytest.mark.parametrize("balanced", [False, True])
def test_coefficients_are_those_of_combine(text: str, balanced: bool) -> None:
    query = Query.parse(text)
    vectors = FakeModel().encode_texts([part.value for part in query.parts])
    rng = np.random.default_rng(5)
    sample = unit(rng.standard_normal((50, DIM)).astype(np.float32)) if balanced else None
    found = coefficients(query, vectors, sample)
    assert np.abs(found @ vectors - combine(query, vectors, sample)).max() < 1e-6
    assert np.linalg.norm(found @ vectors.astype(np.float64)) == pytest.approx(1, abs=1e-12)


def test_only_the_ratio_of_weights_matters() -> None:
    query = Query.parse("flower + 2:bee - 0.5:cartoon")
    found = coefficients(query, FakeModel().encode_texts(["flower", "bee", "cartoon"]), None)
    assert found / found[0] == pytest.approx([1, 2, -0.5])


def test_parts_that_cancel_out_are_an_error() -> None:
    query = Query.parse("bee - bee")
    with pytest.raises(QueryError, match="cancel each other out"):
        coefficients(query, FakeModel().encode_texts(["bee", "bee"]), None)


def test_pictures_and_words_are_embedded_in_their_order(photos: Path) -> None:
    model = FakeModel()
    vectors = embed_parts(Query.parse(f"bee + {photos / 'cat.png'} + flower"), model)
    assert np.array_equal(vectors[[0, 2]], model.encode_texts(["bee", "flower"]))
    assert vectors[1, 3:].max() == 0


# -- pictures from the web, by a real server on 127.0.0.1 ---------------------------


@pytest.fixture
def server(photos: Path) -> Iterator[str]:
    """The address of a server that serves the sample photos, a text, and a body longer than the limit."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, kind = self.path.lstrip("/"), "image/jpeg"
            if name == "letter.jpg":
                body = b"Dear Sir or Madam"
            elif name == "endless.jpg":
                body = bytes(5000)
            elif name == "page.jpg":
                body, kind = b"<html>log in</html>", "text/html"
            elif (photos / name).is_file():
                body = (photos / name).read_bytes()
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.slow
def test_picture_from_the_web_is_a_query(server: str, library: Library, photos: Path) -> None:
    library.index(photos)
    found = library.search(f"{server}/flower.jpg", top=1)
    assert found[0].path.name == "flower.jpg"  # not left out: it is not the library's own file
    assert found[0].score == pytest.approx(1, abs=2e-3)
    with pytest.raises(QueryError, match="not an image"):
        library.search(f"{server}/letter.jpg")


@pytest.mark.slow
def test_pictures_that_cannot_be_fetched(
    server: str, library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(photos)
    with pytest.raises(QueryError, match="sent text/html, not a picture"):
        library.search(f"{server}/page.jpg")
    with pytest.raises(QueryError, match="404"):
        library.search(f"{server}/nothing.jpg")
    monkeypatch.setattr(fetch, "MAX_BYTES", 4999)
    with pytest.raises(QueryError, match="larger than"):
        library.search(f"{server}/endless.jpg")
    monkeypatch.setattr(fetch, "MAX_BYTES", 5000)
    with pytest.raises(QueryError, match="the file holds zeros"):  # fetched whole
        library.search(f"{server}/endless.jpg")
    with pytest.raises(QueryError, match="can't fetch"):
        library.search("http://127.0.0.1:1/closed.jpg")
    with pytest.raises(QueryError, match="can't fetch"):
        library.search("http://[broken/address.jpg")


@pytest.mark.parametrize(
    ("text", "name", "languages", "note"),
    [
        ("猫", "tiny", ["en"], "reads English only"),
        ("кот + dog", "tiny", ["en"], "reads English only"),
        ("قطة", "ViT-B-32__openai", None, "reads English only"),
        ("ein Hund, été", "tiny", ["en"], None),
        ("a dog 🐕 12:30", "tiny", ["en"], None),
        ("猫", "ViT-B-32-SigLIP2-256__webli", None, None),
        ("猫", "a model of one's own", None, None),
        ("猫", "tiny", ["en", "zh"], None),
        ("ねこ", "tiny", ["en", "zh"], "reads no other languages than en, zh"),
        ("我的 γάτα", "tiny", ["zh", "en"], "reads no other languages than en, zh"),
    ],
)
def test_a_language_that_the_model_does_not_read_is_noted(
    text: str, name: str, languages: list[str] | None, note: str | None, tmp_path: Path
) -> None:
    own = {} if languages is None else {"languages": languages}
    folder = ModelFolder.read(make_model_folder(tmp_path / "m", name=name, clipsight=own))
    notes = language_notes(Query.parse(text), folder)
    assert len(notes) == (note is not None)
    assert all(f"the model {name} {note}; for others: " in each for each in notes)

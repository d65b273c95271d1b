"""One library for all threads of a process, and for no other process."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipsight import Library
from clipsight.core.errors import ClipsightError, LibraryError
from clipsight.search.query import Query
from clipsight.store.filters import Filters
from tests.support.forks import in_child
from tests.support.samples import SAMPLES

ROUNDS = 12


@pytest.mark.slow
def test_eight_threads_search_classify_and_embed_while_one_indexes(
    library: Library, photos: Path, tmp_path: Path
) -> None:
    for half in ("a", "b"):
        shutil.copytree(photos, tmp_path / half)
    library.index(tmp_path / "a")
    library.index(tmp_path / "b")
    new = tmp_path / "new"
    new.mkdir()
    (tmp_path / "texts.txt").write_text("a cat\na rocket\n")

    def found(folder: str) -> list[str]:
        return [str(each.path) for each in library.search("a cat", 50, folders=[tmp_path / folder])]

    expected = {folder: found(folder) for folder in ("a", "b")}
    labels = [each.label for each in library.classify(["cat", "rocket"], tmp_path / "a")]
    [alone] = library.embed(photos / "cat.png")

    def index() -> None:
        for number in range(ROUNDS):
            shutil.copyfile(SAMPLES["cat.png"], new / f"{number}.png")
            (report,) = library.index(new)
            assert report.failed == 0 and report.embedded + report.known_content == 1

    def search(folder: str) -> None:
        for _ in range(ROUNDS):
            assert found(folder) == expected[folder]

    def classify() -> None:
        for _ in range(ROUNDS):
            assert [each.label for each in library.classify(["cat", "rocket"], tmp_path / "a")] == labels

    def embed() -> None:
        for _ in range(ROUNDS):
            [chunk] = library.embed(photos / "cat.png")
            np.testing.assert_allclose(chunk.vectors, alone.vectors, atol=1e-5)
            assert library.match(photos / "cat.png", tmp_path / "texts.txt")

    def index_again() -> None:
        for _ in range(ROUNDS):
            assert library.index(tmp_path / "a")[0].unchanged == len(SAMPLES)

    searches = [partial(search, folder) for folder in ("a", "b", "a", "b")]
    work: list[Callable[[], None]] = [index, index_again, classify, embed, *searches]
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(each) for each in work]:
            done.result()
    assert len(library) == 2 * len(SAMPLES) + ROUNDS
    assert len(library.search("a cat", 100, duplicates=True)) == len(library)  # the snapshot is the last one


def test_threads_get_the_photos_of_their_own_filter(library: Library, photos: Path) -> None:
    for name in ("a", "b"):
        (photos / name).mkdir()
        shutil.copyfile(photos / "cat.png", photos / name / "cat.png")
    library.index(photos)
    snapshot = library._connection.snapshot
    elsewhere = Filters(folders=(photos / "b",))

    class Interrupted(Filters):
        """Filters during whose comparison another thread searches elsewhere."""

        def __eq__(self, other: object) -> bool:
            if isinstance(other, Interrupted):
                snapshot._allowed(elsewhere)
            return isinstance(other, Interrupted)

        __hash__ = Filters.__hash__

    expected = snapshot._allowed(Interrupted(folders=(photos / "a",)))
    found = snapshot._allowed(Interrupted(folders=(photos / "a",)))
    other = snapshot._allowed(elsewhere)
    assert found is not None and expected is not None and other is not None
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(expected, other)


def test_threads_load_one_encoder_and_one_snapshot(library: Library, photos: Path) -> None:
    library.index(photos)
    with Library(library.path) as other, ThreadPoolExecutor(8) as pool:
        used = list(pool.map(lambda _: (id(other.encoder), id(other._connection.snapshot.index)), range(16)))
    assert len(set(used)) == 1


def calls(library: Library, photo: Path, file: Path) -> dict[str, Callable[[], Any]]:
    """A call of each public method and property."""
    return {
        "search": lambda: library.search("cat"),
        "search_many": lambda: library.search_many([]),
        "index": lambda: library.index(photo.parent),
        "classify": lambda: library.classify(["cat", "dog"], photo),
        "organize": lambda: library.organize(photo.parent, file.parent / "sorted", by="date"),
        "explain": lambda: library.explain("cat", photo, region=False),
        "match": lambda: library.match(photo, file),
        "optimize": library.optimize,
        "embeddings": library.embeddings,
        "embed": lambda: library.embed(photo),
        "duplicates": library.duplicates,
        "vectors": library.vectors,
        "watch": library.watch,
        "status": library.status,
        "forget": lambda: library.forget(photo.parent),
        "export": lambda: library.export(file.with_suffix(".npz")),
        "import_": lambda: library.import_(file),
        "encoder": lambda: library.encoder,
        "model": lambda: library.model,
        "backup": lambda: library.backup(file.with_suffix(".backup")),
        "__len__": lambda: len(library),
        "__enter__": library.__enter__,
    }


WITHOUT_FILES = {"open", "close", "check", "restore"}
"""Public methods that need no open library."""


@pytest.mark.slow
def test_every_call_after_close_is_an_error(library: Library, photos: Path, tmp_path: Path) -> None:
    library.index(photos)
    texts = tmp_path / "texts.txt"
    texts.write_text("a cat\n")
    stream, encoder = library.embeddings(), library.encoder
    library.close()
    library.close()
    called = calls(library, photos / "cat.png", texts)
    public = {name for name in vars(Library) if not name.startswith("_")} | {"__len__", "__enter__"}
    assert set(called) == public - WITHOUT_FILES
    for name, call in called.items():
        with pytest.raises(LibraryError, match=r"library in .* is closed: open it again"):
            call()
            pytest.fail(f"{name} does not say so")
    with pytest.raises(LibraryError, match="is closed"):
        next(stream)
    assert encoder.encode_texts(["cat"]).shape == (1, 32)
    assert repr(library) == f"Library({str(library.path)!r})"


@pytest.mark.process
def test_every_call_in_a_forked_process_is_an_error(library: Library, photos: Path, tmp_path: Path) -> None:
    library.index(photos)
    texts = tmp_path / "texts.txt"
    texts.write_text("a cat\n")
    stream, encoder, snapshot = library.embeddings(), library.encoder, library._connection.snapshot
    encoder.encode_texts(["cat"])
    left: dict[str, Callable[[], object]] = {
        **calls(library, photos / "cat.png", texts),
        "stream": lambda: next(stream),
        "encode_texts": lambda: encoder.encode_texts(["cat"]),
        "encode_images": lambda: encoder.encode_pixels([np.zeros((*encoder.input_size, 3), np.uint8)]),
        "snapshot": lambda: snapshot.balance_sample([Query.parse(f"cat + {photos / 'cat.png'}")]),
        "transaction": lambda: snapshot.catalog.transaction().__enter__(),
    }

    def say() -> str:
        wrong = []
        for name, call in left.items():
            try:
                call()
                wrong.append(name)
            except ClipsightError as error:
                if "forked" not in str(error):
                    wrong.append(f"{name}: {error}")
        library.close()
        with Library(library.path) as own:
            if len(own) != len(SAMPLES) or not own.search("cat"):
                wrong.append("Library.open in the child")
        return ", ".join(wrong)

    assert in_child(say) == ""
    assert len(library.search("cat")) == 8 and library.index()[0].unchanged == len(SAMPLES)

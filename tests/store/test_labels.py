"""Labels against plain dictionaries; they are deleted with their vector; no query scans all photos."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from clipsight.core.errors import LabelError, LibraryError
from clipsight.store.catalog import CATALOG_NAME, Catalog
from clipsight.store.database import Database
from clipsight.store.labels import (
    LabelCount,
    PhotoLabel,
    count_labels,
    labels_of_photo,
    store_labels,
    vector_ids_labelled,
)
from clipsight.store.records import Model, PhotoInfo, State
from clipsight.store.vectors.faiss import FaissIndex
from clipsight.store.vectors.rerank import rank
from tests.support.catalogs import add_photos, some_model, stat_of, unit_vectors
from tests.support.properties import examples

DIM = 4
PETS = ("cat", "dog")
PLACES = ("indoors", "outdoors", "dog")
"""Shares a label with the other set."""


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def database(catalog: Catalog, tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / CATALOG_NAME)
    yield opened
    opened.close()


def filled(catalog: Catalog, count: int) -> tuple[Model, list[int]]:
    model = some_model(catalog, DIM)
    paths = [b"/p/%d.jpg" % number for number in range(count)]
    return model, add_photos(catalog, model, unit_vectors(count, DIM), paths)


def photos_labelled(catalog: Catalog, database: Database, model: Model, *labels: str) -> set[int]:
    return {hit.photo_id for hit in catalog.embedded_photos(vector_ids_labelled(database, model, labels))}


def test_a_photo_has_one_label_of_each_set(catalog: Catalog, database: Database) -> None:
    model, (first, second, third) = filled(catalog, 3)
    store_labels(database, model, PETS, [PhotoLabel(first, "cat", 0.9), PhotoLabel(second, "dog", 0.8)])
    store_labels(database, model, PLACES, [PhotoLabel(first, "outdoors", 0.7), PhotoLabel(third, "dog", 0.6)])
    assert photos_labelled(catalog, database, model, "cat") == {first}
    assert photos_labelled(catalog, database, model, "dog") == {second, third}
    assert photos_labelled(catalog, database, model, "outdoors", "dog") == {first, second, third}
    assert count_labels(database, model) == [
        LabelCount("dog", 2),
        LabelCount("cat", 1),
        LabelCount("outdoors", 1),
    ]
    # The last one given counts, whatever the order of the set's labels.
    store_labels(database, model, PETS[::-1], [PhotoLabel(first, "dog", 0.6), PhotoLabel(second, None, 0.0)])
    assert photos_labelled(catalog, database, model, "dog") == {first, third}
    with pytest.raises(LabelError, match="no photo has the label 'cat': there are dog, outdoors"):
        vector_ids_labelled(database, model, ["cat"])


def test_ids_are_sorted_and_unique(catalog: Catalog, database: Database) -> None:
    model, ids = filled(catalog, 40)
    store_labels(database, model, PETS, [PhotoLabel(id_, "dog", 1.0) for id_ in ids[::-2]])
    store_labels(database, model, PLACES, [PhotoLabel(id_, "dog", 1.0) for id_ in ids])
    found = vector_ids_labelled(database, model, ["dog"])
    assert found.dtype == np.int64 and found.tolist() == list(range(1, 41))
    assert vector_ids_labelled(database, model, []).tolist() == []


def test_an_unknown_label_is_an_error_that_lists_existing_ones(catalog: Catalog, database: Database) -> None:
    model, ids = filled(catalog, 20)
    with pytest.raises(LabelError, match="no photo has a label yet, so none is 'dgo': clipsight classify"):
        vector_ids_labelled(database, model, ["dgo"])
    labels = [f"label {number:02}" for number in range(20)]
    store_labels(
        database,
        model,
        labels,
        [PhotoLabel(id_, label, 1.0) for id_, label in zip(ids, labels, strict=True)],
    )
    with pytest.raises(LabelError, match=r"there are label 00, .*, label 11 and 8 more$") as error:
        vector_ids_labelled(database, model, ["label 00", "dgo"])
    assert "\n" not in str(error.value)


def test_photos_without_a_vector_get_no_label(catalog: Catalog, database: Database) -> None:
    model, (only,) = filled(catalog, 1)
    bare = catalog.put_photo(stat_of(b"/p/bare.jpg"), None, PhotoInfo())
    store_labels(database, model, PETS, [PhotoLabel(id_, "dog", 1.0) for id_ in (0, bare, only, 999)])
    assert photos_labelled(catalog, database, model, "dog") == {only}


def test_labels_of_two_models_are_separate(catalog: Catalog, database: Database) -> None:
    old, (photo,) = filled(catalog, 1)
    new = catalog.add_model("b" * 64, "new", "./new", DIM)
    catalog.put_vector(photo, new, unit_vectors(1, DIM)[0])
    store_labels(database, old, PETS, [PhotoLabel(photo, "cat", 1.0)])
    store_labels(database, new, PETS, [PhotoLabel(photo, "dog", 1.0)])
    assert count_labels(database, old) == [LabelCount("cat", 1)]
    catalog.set_current_model(new)
    assert count_labels(database, old) == []
    assert count_labels(database, new) == [LabelCount("dog", 1)]
    assert database.value("SELECT count(*) FROM labels") == 1
    assert database.value("SELECT count(*) FROM label_sets") == 1


def test_missing_photos_are_not_counted(catalog: Catalog, database: Database) -> None:
    model, (first, second) = filled(catalog, 2)
    store_labels(database, model, PETS, [PhotoLabel(first, "dog", 1.0), PhotoLabel(second, "dog", 1.0)])
    catalog.set_state([first], State.MISSING)
    assert count_labels(database, model) == [LabelCount("dog", 1)]
    assert photos_labelled(catalog, database, model, "dog") == {second}


def test_a_failure_leaves_the_labels_as_they_were(catalog: Catalog, database: Database) -> None:
    model, (photo,) = filled(catalog, 1)
    store_labels(database, model, PETS, [PhotoLabel(photo, "cat", 1.0)])
    with pytest.raises(LibraryError):  # after the old label was taken away
        store_labels(database, model, PETS, [PhotoLabel(photo, "dog", "likely".split)])  # type: ignore[arg-type]
    assert count_labels(database, model) == [LabelCount("cat", 1)]


@pytest.mark.slow
def test_search_is_restricted_beforehand(catalog: Catalog, database: Database, tmp_path: Path) -> None:
    """The best of the labelled photos are found, however many better ones are not labelled."""
    model, ids = filled(catalog, 3000)
    query = unit_vectors(1, DIM, seed=7)[0].astype(np.float32)
    index = FaissIndex(tmp_path / "vectors", catalog, model)
    every = [each.photo.photo_id for each in rank(catalog, index, query[None], 3000)[0]]
    labelled = every[-5:]
    store_labels(database, model, PETS, [PhotoLabel(id_, "dog", 1.0) for id_ in labelled])
    allowed = vector_ids_labelled(database, model, ["dog"])
    assert [
        each.photo.photo_id for each in rank(catalog, index, query[None], 10, allowed=allowed)[0]
    ] == labelled
    assert ids[0] != every[0]


def test_no_statement_scans_photos_or_vectors(catalog: Catalog, database: Database) -> None:
    model, ids = filled(catalog, 100)
    store_labels(database, model, PETS, [PhotoLabel(id_, "dog", 1.0) for id_ in ids])
    for sql, arguments in (
        (
            "SELECT l.vector_id FROM label_sets s CROSS JOIN labels l ON l.set_id = s.id "
            "WHERE s.model_id = ? AND l.label = ?",
            (model.id, "dog"),
        ),
        ("DELETE FROM vectors WHERE id = ?", (1,)),
        ("DELETE FROM label_sets WHERE id = ?", (1,)),
    ):
        plan = [row[3] for row in database.rows(f"EXPLAIN QUERY PLAN {sql}", arguments)]
        assert all(step.startswith("SEARCH") for step in plan), plan


class LabelMachine(RuleBasedStateMachine):
    """Random labelling, indexing and forgetting; the model is {photo: {set: (label, probability)}}."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.catalog = Catalog(Path(self.folder.name))
        self.database = Database(Path(self.folder.name) / CATALOG_NAME)
        self.model = some_model(self.catalog, DIM)
        self.content: dict[bytes, int] = {}
        self.ids: dict[bytes, int] = {}
        self.labels: dict[bytes, dict[tuple[str, ...], tuple[str, float]]] = {}

    def teardown(self) -> None:
        self.database.close()
        self.catalog.close()
        self.folder.cleanup()

    names = st.sampled_from([b"/p/a.jpg", b"/p/b.jpg", b"/q/\xff.jpg"])

    @rule(name=names, content=st.integers(0, 2))
    def index(self, name: bytes, content: int) -> None:
        id_ = self.catalog.put_photo(stat_of(name), b"%16d" % content, PhotoInfo())
        if self.content.get(name) != content:
            self.catalog.put_vector(id_, self.model, unit_vectors(1, DIM, seed=content)[0])
            self.labels[name] = {}
        self.content[name], self.ids[name] = content, id_

    @rule(name=names, labels=st.sampled_from([PETS, PLACES]), data=st.data())
    def label(self, name: bytes, labels: tuple[str, ...], data: st.DataObject) -> None:
        label = data.draw(st.sampled_from([*labels, None]))
        probability = data.draw(st.floats(0, 1))
        given = PhotoLabel(self.ids.get(name, 0), label, probability)
        store_labels(self.database, self.model, data.draw(st.permutations(labels)), [given])
        if name in self.ids:
            if label is None:
                self.labels[name].pop(labels, None)
            else:
                self.labels[name][labels] = (label, probability)

    @rule(name=names)
    def move(self, name: bytes) -> None:
        if name in self.ids:
            file = stat_of(b"/moved/" + name[-5:])
            self.catalog.move_photo(self.ids[name], file)
            self.catalog.move_photo(self.ids[name], stat_of(name))

    @rule(folder=st.sampled_from([b"/p", b"/q"]))
    def forget(self, folder: bytes) -> None:
        self.catalog.forget(folder)
        for name in [name for name in self.ids if name.startswith(folder)]:
            del self.content[name], self.ids[name], self.labels[name]

    @rule(name=names)
    def fail(self, name: bytes) -> None:
        self.catalog.put_failure(stat_of(name), "cut short")
        for table in (self.content, self.ids, self.labels):
            table.pop(name, None)

    @invariant()
    def the_same(self) -> None:
        rows = self.database.rows(
            "SELECT v.photo_id, l.label, l.probability FROM labels l JOIN vectors v ON v.id = l.vector_id"
        )
        expected = [
            (self.ids[name], *given) for name, by_set in self.labels.items() for given in by_set.values()
        ]
        assert sorted(rows) == sorted(expected)
        there = {label for _, label, _ in expected}
        for label in there:
            photos = photos_labelled(self.catalog, self.database, self.model, label)
            assert photos == {id_ for id_, given, _ in expected if given == label}
        assert {count.label for count in count_labels(self.database, self.model)} == there


LabelMachine.TestCase.settings = examples(30, stateful_step_count=20)
TestLabels = pytest.mark.slow(LabelMachine.TestCase)


def test_labels_that_differ_in_unicode_form_only_are_one(catalog: Catalog, database: Database) -> None:
    """Labels of earlier versions are stored as they were typed."""
    model, ids = filled(catalog, 2)
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    store_labels(database, model, [composed, "bar"], [PhotoLabel(ids[0], composed, 0.9)])
    store_labels(
        database,
        model,
        [decomposed, "bar"],
        [PhotoLabel(ids[0], decomposed, 0.9), PhotoLabel(ids[1], decomposed, 0.8)],
    )
    assert count_labels(database, model) == [LabelCount(composed, 2)]
    assert labels_of_photo(database, model, ids[0]) == (composed,)
    for label in (composed, decomposed):
        assert len(vector_ids_labelled(database, model, [label])) == 2

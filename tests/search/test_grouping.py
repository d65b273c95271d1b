"""Groups of photos that show the same, on vectors made to order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core.arrays import Float32, Int64
from clipsight.search.grouping import Groups, Kind, Rule, flatten, join_exact, join_similar, preference
from clipsight.store.photo_columns import UNKNOWN, PhotoColumns
from clipsight.store.vectors.neighbours import Neighbours
from tests.support.arrays import random_unit, unit
from tests.support.properties import examples

RULE = Rule(same=0.95, burst=0.8, seconds=10)


class AllPairs(Neighbours):
    """Neighbours by comparison with every vector, which has the id of its row plus 1."""

    def __init__(self, vectors: Float32) -> None:
        self.stored = vectors

    def vectors(self, ids: Int64) -> Float32:
        found: Float32 = self.stored[ids - 1]
        return found

    def within(self, queries: Float32, cosine: float):  # type: ignore[no-untyped-def]
        for cosines in queries @ self.stored.T:
            near = np.flatnonzero(cosines >= cosine)
            yield near + 1, cosines[near]


def columns(count: int, **changes: object) -> PhotoColumns:
    """Photos that differ in nothing but what `changes` gives by column."""
    same = np.ones(count, np.int64)
    values: dict[str, object] = {
        "ids": np.arange(count) + 1,
        "vector_ids": np.arange(count) + 1,
        "contents": np.arange(count) + 1,
        "widths": same,
        "heights": same,
        "sizes": same,
        "taken": np.full(count, UNKNOWN),
        "formats": ("JPEG",),
        "format_codes": 0 * same,
        "has_camera": np.zeros(count, np.bool_),
        "is_whole": np.ones(count, np.bool_),
        "is_present": np.ones(count, np.bool_),
    }
    return PhotoColumns(**{**values, **changes})  # type: ignore[arg-type]


def grouped(photos: PhotoColumns, vectors: Float32, rule: Rule = RULE) -> Groups:
    groups, order = Groups.of(len(photos)), preference(photos)
    join_exact(photos, order, groups)
    join_similar(photos, order, AllPairs(vectors), rule, groups, lambda done, total: None)
    flatten(groups)
    return groups


def at_angles(*degrees: float) -> Float32:
    """Unit vectors in a plane."""
    angles = np.radians(np.array(degrees))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_the_one_with_most_pixels_is_kept() -> None:
    photos = columns(3, widths=np.array([1, 3, 2]))
    groups = grouped(photos, at_angles(0, 1, 90))
    assert groups.kept.tolist() == [1, 1, 2]
    assert groups.kinds.tolist() == [Kind.SAME, Kind.EXACT, Kind.EXACT]
    assert groups.cosines[0] == pytest.approx(np.cos(np.radians(1)), abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"is_whole": np.array([False, True]), "widths": np.array([9, 1])}, 1),
        ({"widths": np.array([1, 2]), "has_camera": np.array([True, False])}, 1),
        ({"formats": ("JPEG", "RAW"), "format_codes": np.array([0, 1])}, 1),
        ({"has_camera": np.array([False, True]), "sizes": np.array([9, 1])}, 1),
        ({"formats": ("JPEG", "PNG"), "format_codes": np.array([0, 1]), "sizes": np.array([9, 1])}, 1),
        ({"formats": ("GIF", None), "format_codes": np.array([0, 1]), "sizes": np.array([1, 2])}, 1),
        ({}, 0),
    ],
)
def test_order_of_preference(changes: dict[str, object], first: int) -> None:
    assert preference(columns(2, **changes)).tolist() == [first, 1 - first]


def test_no_photos() -> None:
    groups = grouped(columns(0, formats=()), at_angles())
    assert len(groups.kept) == 0


def test_groups_are_around_the_one_to_keep_and_make_no_chain() -> None:
    photos = columns(3, widths=np.array([3, 2, 1]))
    assert grouped(photos, at_angles(0, 15, 30)).kept.tolist() == [0, 0, 2]  # cos 15 is 0.966
    middle = columns(3, widths=np.array([1, 2, 1]))
    assert grouped(middle, at_angles(0, 15, 30)).kept.tolist() == [1, 1, 1]


def test_moments_decide_between_the_same_shot_and_a_burst() -> None:
    taken = np.array([100, 100, 105, 111, UNKNOWN])
    photos = columns(5, taken=taken, widths=np.array([9, 1, 1, 1, 1]))
    groups = grouped(photos, at_angles(0, 1, 1, 1, 1))
    assert groups.kept.tolist() == [0, 0, 0, 3, 0]
    assert groups.kinds.tolist() == [Kind.EXACT, Kind.SAME, Kind.BURST, Kind.EXACT, Kind.SAME]


def test_a_burst_may_differ_more_and_needs_known_moments() -> None:
    close = at_angles(0, 30)  # cos 0.866
    assert grouped(columns(2, taken=np.array([5, 6])), close).kept.tolist() == [0, 0]
    assert grouped(columns(2), close).kept.tolist() == [0, 1]
    assert grouped(columns(2, taken=np.array([5, 6])), close, Rule(0.95, None, 10)).kept.tolist() == [0, 1]


def test_exact_copies_of_a_photo_join_its_group() -> None:
    photos = columns(4, contents=np.array([1, 1, 3, 3]), widths=np.array([1, 1, 2, 2]))
    groups = grouped(photos, at_angles(0, 0, 5, 5))
    assert groups.kept.tolist() == [2, 2, 2, 2]
    assert groups.kinds.tolist() == [Kind.SAME, Kind.SAME, Kind.EXACT, Kind.EXACT]


def test_photos_without_a_vector_are_in_groups_of_exact_copies_only() -> None:
    photos = columns(3, vector_ids=np.array([0, 0, 3]), contents=np.array([1, 1, 3]))
    assert grouped(photos, at_angles(0, 0, 0)).kept.tolist() == [0, 0, 2]


def test_large_groups_span_the_chunks_that_are_compared_at_once() -> None:
    count = 2500
    vectors = np.repeat(random_unit(2, 32), [count - 5, 5], axis=0)
    groups = grouped(columns(count), vectors)
    assert groups.kept.tolist() == [0] * (count - 5) + [count - 5] * 5


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
@examples(100)
def test_every_photo_matches_the_one_kept_and_those_kept_match_no_other(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    vectors = unit(random.standard_normal((count, 3))).astype(np.float32)
    photos = columns(
        count,
        widths=random.integers(1, 4, count),
        taken=random.choice([UNKNOWN, 10, 12, 40], count),
        contents=random.integers(1, count + 1, count),
    )
    vectors = vectors[photos.contents - 1]  # the same content, the same vector
    groups = grouped(photos, vectors)
    place = np.argsort(preference(photos))
    for row, kept in enumerate(groups.kept.tolist()):
        assert groups.kept[kept] == kept and place[kept] <= place[row]
        if row != kept and photos.contents[row] != photos.contents[kept]:
            assert groups.cosines[row] >= RULE.burst
    kept_rows = [row for row in range(count) if groups.kept[row] == row]
    for row in kept_rows:
        others = np.array([other for other in kept_rows if place[other] > place[row]], np.int64)
        cosines = (vectors[others] @ vectors[row]).astype(np.float32)
        clear = np.abs(cosines[:, None] - [RULE.same, RULE.burst]).min(1, initial=9) > 1e-5
        kinds = RULE.kinds(int(photos.taken[row]), photos.taken[others], cosines)
        assert (kinds[clear] == -1).all()

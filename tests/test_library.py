"""The Python API of `Library`, with a tiny model and real photos."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsight import Library, Matches
from clipsight.core.errors import LabelError, LibraryError, ModelError, QueryError
from clipsight.models.encoder import Encoder
from clipsight.store.records import State
from tests.support.samples import SAMPLES
from tests.support.tiny_models import make_model_folder


def names(matches: Matches) -> list[str]:
    return [match.path.name for match in matches]


def count_encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that the image encoder is given from now on."""
    batches: list[int] = []
    original = Encoder.encode_pixels

    def counted(self: Encoder, pixels: object, **options: object) -> object:
        batches.append(len(pixels))  # type: ignore[arg-type]
        return original(self, pixels, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Encoder, "encode_pixels", counted)
    return batches


@pytest.mark.slow
def test_index_then_search_by_picture(library: Library, photos: Path) -> None:
    (report,) = library.index(photos)
    assert (report.embedded, report.failed) == (len(SAMPLES), 0)
    assert len(library) == len(SAMPLES)
    outside = photos.parent / "query.jpg"
    shutil.copyfile(photos / "flower.jpg", outside)
    matches = library.search(str(outside), top=3)
    assert names(matches)[0] == "flower.jpg"
    assert matches[0].score == pytest.approx(1.0, abs=2e-3)  # float16 vectors
    assert (matches[0].width, matches[0].height) == (640, 427)


@pytest.mark.slow
def test_query_pictures_are_left_out(library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.index(photos)
    monkeypatch.chdir(photos)
    assert "flower.jpg" not in names(library.search("./flower.jpg", top=20))
    assert len(library.search("./flower.jpg", top=20)) == len(SAMPLES) - 1
    link = photos.parent / "link.jpg"
    link.symlink_to(photos / "cat.png")
    assert "cat.png" not in names(library.search(f"{link} + flower", top=20))


@pytest.mark.slow
def test_scores_are_cosines_of_the_exported_vectors(library: Library, photos: Path, tmp_path: Path) -> None:
    library.index(photos)
    library.export(tmp_path / "vectors.npz")
    with np.load(tmp_path / "vectors.npz") as arrays:
        paths, vectors = arrays["paths"], arrays["vectors"].astype(np.float64)
    query = library.encoder.encode_texts(["a red flower"])[0].astype(np.float64)
    expected = dict(zip(paths.tolist(), vectors @ query, strict=True))
    found = library.search("a red flower", top=20)
    # The library has embedded the query once more.
    assert {str(match.path): pytest.approx(match.score, abs=1e-5) for match in found} == expected
    assert [match.score for match in found] == sorted((match.score for match in found), reverse=True)


def test_second_index_reads_nothing(library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.index(photos)
    batches = count_encoded(monkeypatch)
    (report,) = library.index(photos)
    assert (report.unchanged, report.embedded, batches) == (len(SAMPLES), 0, [])


@pytest.mark.slow
def test_moved_and_copied_files_are_recognised(
    library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(photos)
    ids = {match.path.name: match.id for match in library.search("cat", top=20)}
    batches = count_encoded(monkeypatch)
    (photos / "2024").mkdir()
    (photos / "cat.png").rename(photos / "2024" / "kitten.png")
    shutil.copyfile(photos / "coffee.png", photos / "another cup.png")
    (report,) = library.index(photos)
    assert (report.known_content, report.embedded, report.missing, batches) == (2, 0, 0, [])
    found = {match.path.name: match for match in library.search("cat", top=20, duplicates=True)}
    assert "cat.png" not in found
    assert found["kitten.png"].id == ids["cat.png"]
    assert found["another cup.png"].score == found["coffee.png"].score


@pytest.mark.slow
def test_copies_of_one_photo_are_one_match(library: Library, photos: Path) -> None:
    copies = [photos / "a cat.png", photos / "z" / "cat.png", photos / "z" / "zz.png"]
    (photos / "z").mkdir()
    for copy in copies:
        shutil.copyfile(photos / "cat.png", copy)
    library.index(photos)
    every = library.search("cat", 100, duplicates=True)
    assert len(every) == len(SAMPLES) + 3 and not any(match.copies for match in every)
    found = library.search("cat", 100)
    assert len(found) == len(SAMPLES) and [match.path for match in found] == [
        match.path for match in every if match.path not in {photos / "cat.png", *copies[1:]}
    ]
    (cat,) = (match for match in found if match.copies)
    assert cat.path == copies[0] and cat.copies == (photos / "cat.png", *copies[1:])
    assert found.notes[-1] == "3 copies of these photos left out: the option duplicates shows them"
    for top in range(1, 8):  # copies take no place of other photos, nor of the next page
        page = library.search("cat", top, offset=1)
        assert [match.path for match in page] == [match.path for match in found[1 : 1 + top]]
    inside = library.search("cat", 100, folders=[photos / "z"])
    assert [match.path for match in inside] == [copies[1]] and inside[0].copies == (copies[2],)


@pytest.mark.slow
def test_a_query_picture_and_its_copies_are_left_out(library: Library, photos: Path) -> None:
    shutil.copyfile(photos / "cat.png", photos / "copy.png")
    library.index(photos)
    assert {"cat.png", "copy.png"}.isdisjoint(names(library.search(photos / "cat.png", 100)))
    best = library.search(photos / "cat.png", 100, duplicates=True)[0]
    assert best.path.name == "copy.png" and best.score == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_a_reachable_copy_is_preferred(library: Library, photos: Path) -> None:
    (photos / "a").mkdir()
    shutil.copyfile(photos / "cat.png", photos / "a" / "cat.png")
    library.index(photos)
    assert library.search("cat", 100).matches[0].path.parent in (photos, photos / "a")
    with library._connection.catalog.transaction():
        library._connection.catalog.set_state_under(bytes(photos / "a"), State.UNREACHABLE)
    (cat,) = (match for match in library.search("cat", 100) if match.path.name == "cat.png")
    assert cat.path == photos / "cat.png" and cat.reachable and cat.copies == (photos / "a" / "cat.png",)


@pytest.mark.slow
def test_twins_in_one_run_are_embedded_once(
    library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        shutil.copyfile(photos / "cat.png", photos / f"copy {number}.png")
    batches = count_encoded(monkeypatch)
    (report,) = library.index(photos)
    assert (sum(batches), report.embedded, report.known_content) == (len(SAMPLES), len(SAMPLES), 20)
    assert len(library) == len(SAMPLES) + 20


def test_twins_of_a_broken_file_all_fail_with_the_reason(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.jpg").write_text("not a photo")
    (report,) = library.index(folder)
    assert report.failed == 5
    assert len({failure.reason for failure in library.status().failures}) == 1


@pytest.mark.slow
def test_changed_file_is_embedded_again(library: Library, photos: Path) -> None:
    library.index(photos)
    before = {match.path.name: match.score for match in library.search("cat", top=20)}
    shutil.copyfile(photos / "rocket.jpg", photos / "cat.png")
    Image.new("RGB", (50, 40), "green").save(photos / "coffee.png")
    library.index(photos)
    after = {match.path.name: match.score for match in library.search("cat", top=20)}
    assert after["cat.png"] == pytest.approx(before["rocket.jpg"], abs=1e-3)
    assert after["coffee.png"] != pytest.approx(before["coffee.png"], abs=1e-2)
    assert len(library) == len(SAMPLES)


@pytest.mark.slow
def test_touched_file_is_not_embedded_again(
    library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(photos)
    batches = count_encoded(monkeypatch)
    os.utime(photos / "cat.png")
    (report,) = library.index(photos)
    assert (report.known_content, batches) == (1, [])
    (report,) = library.index(photos)
    assert report.unchanged == len(SAMPLES)


def test_deleted_file_disappears_and_may_come_back(library: Library, photos: Path, tmp_path: Path) -> None:
    library.index(photos)
    (photos / "cat.png").rename(tmp_path / "cat.png")
    (report,) = library.index(photos)
    assert report.missing == 1
    assert "cat.png" not in names(library.search("cat", top=20))
    assert library.status().counts.missing == 1
    (tmp_path / "cat.png").rename(photos / "cat.png")
    library.index(photos)
    assert "cat.png" in names(library.search("cat", top=20))


@pytest.mark.slow
def test_missing_folder_never_empties_the_library(library: Library, photos: Path, tmp_path: Path) -> None:
    library.index(photos)
    photos.rename(tmp_path / "elsewhere")
    (report,) = library.index(photos)
    assert (report.missing, report.unreachable) == (0, len(SAMPLES))
    found = library.search("cat", top=20, folders=[photos])
    assert len(found) == len(SAMPLES)
    assert not any(match.reachable for match in found)
    (tmp_path / "elsewhere").rename(photos)
    (report,) = library.index(photos)
    assert (report.unchanged, report.unreachable) == (len(SAMPLES), 0)
    assert all(match.reachable for match in library.search("cat", top=20))


@pytest.mark.slow
def test_missing_subfolder_is_a_deletion(library: Library, photos: Path) -> None:
    shutil.copytree(photos, photos / "trip")
    library.index(photos)
    shutil.rmtree(photos / "trip")
    (report,) = library.index(photos)
    assert (report.missing, report.unreachable) == (len(SAMPLES), 0)


@pytest.mark.slow
def test_photos_on_an_unmounted_device_are_kept(library: Library, photos: Path) -> None:
    """An unmounted disk leaves an empty folder of the disk below; simulated by the recorded device."""
    (photos / "nas").mkdir()
    shutil.copyfile(photos / "cat.png", photos / "nas" / "cat.png")
    library.index(photos)
    with library._connection.catalog.transaction():
        library._connection.catalog._db.run(
            "UPDATE photos SET device = device + 1 WHERE folder = ?", (os.fsencode(photos / "nas"),)
        )
    (photos / "nas" / "cat.png").unlink()
    (report,) = library.index(photos)
    assert (report.missing, report.unreachable) == (0, 1)
    assert [m.reachable for m in library.search("cat", top=20, folders=[photos / "nas"])] == [False]


@pytest.mark.slow
def test_broken_files_are_reported_and_not_tried_again(
    library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "letter.jpg").write_text("Dear Sir or Madam")
    (photos / "half.jpg").write_bytes((photos / "rocket.jpg").read_bytes()[:5000])
    (photos / "empty.png").touch()
    (report,) = library.index(photos)
    assert (report.embedded, report.failed) == (len(SAMPLES), 3)
    failures = library.status().failures
    assert [Path(os.fsdecode(failure.path)).name for failure in failures] == [
        "empty.png",
        "half.jpg",
        "letter.jpg",
    ]
    assert all(failure.reason and failure.date for failure in failures)
    (report,) = library.index(photos)
    assert (report.failed, report.failed_before) == (0, 3)
    (report,) = library.index(photos, retry=True)
    assert (report.failed, report.failed_before) == (3, 0)
    shutil.copyfile(photos / "rocket.jpg", photos / "half.jpg")
    (report,) = library.index(photos)
    assert (report.known_content, report.failed_before) == (1, 2)
    (photos / "empty.png").unlink()
    library.index(photos)
    assert [Path(os.fsdecode(failure.path)).name for failure in library.status().failures] == ["letter.jpg"]


@pytest.mark.slow
def test_a_truncated_photo_is_partial_until_it_is_complete(library: Library, photos: Path) -> None:
    whole = (photos / "rocket.jpg").read_bytes()
    (photos / "rocket.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    (report,) = library.index(photos)
    assert (report.embedded, report.partial, report.failed) == (len(SAMPLES), 1, 0)
    (partial,) = library.status().partial
    assert os.fsdecode(partial.path) == str(photos / "rocket.jpg")
    assert partial.reason == "truncated JPEG: the file ends before its picture does"
    shutil.copyfile(photos / "rocket.jpg", photos / "copy.jpg")
    (report,) = library.index(photos)
    assert report.known_content == 1 and len(library.status().partial) == 2
    (photos / "rocket.jpg").write_bytes(whole)
    (photos / "copy.jpg").unlink()
    (report,) = library.index(photos)
    assert (report.embedded, report.partial, library.status().partial) == (1, 0, ())


@pytest.mark.slow
def test_strict_refuses_partial_photos_that_were_indexed_before(library: Library, photos: Path) -> None:
    (photos / "rocket.jpg").write_bytes((photos / "rocket.jpg").read_bytes()[:50_000])
    library.index(photos)
    shutil.copyfile(photos / "rocket.jpg", photos / "copy.jpg")
    (report,) = library.index(photos, strict=True)
    assert (report.failed, report.unchanged) == (2, len(SAMPLES) - 1)
    assert library.status().partial == ()
    assert {failure.reason for failure in library.status().failures} == {
        "truncated JPEG: the file ends before its picture does"
    }
    (report,) = library.index(photos)
    assert report.failed_before == 2
    (report,) = library.index(photos, strict=False)
    assert (report.embedded + report.known_content, report.partial) == (2, 1)
    assert len(library.status().partial) == 2 and library.status().failures == ()


def test_a_higher_limit_reads_what_was_too_large(library: Library, photos: Path) -> None:
    (report,) = library.index(photos, max_pixels=1000)
    assert report.failed == len(SAMPLES)
    (report,) = library.index(photos, max_pixels=999)
    assert report.failed_before == len(SAMPLES)
    (report,) = library.index(photos, max_pixels=10_000_000)
    assert report.embedded == len(SAMPLES)


def test_a_photo_that_becomes_unreadable_is_removed(library: Library, photos: Path) -> None:
    library.index(photos)
    (photos / "cat.png").write_bytes(b"overwritten")
    library.index(photos)
    assert "cat.png" not in names(library.search("cat", top=20))


def test_names_that_are_not_utf8(library: Library, photos: Path) -> None:
    strange = os.fsdecode(os.fsencode(photos) + b"/caf\xe9 \xff.png")
    shutil.copyfile(photos / "cat.png", strange)
    library.index(photos)
    matches = library.search("cat", top=20)
    found = [match for match in matches if os.fsencode(match.path).endswith(b"\xff.png")]
    assert [os.fsdecode(os.fsencode(match.path)) for match in found] == [strange]


@pytest.mark.slow
def test_search_is_restricted_to_folders(library: Library, photos: Path) -> None:
    for folder in ("a", "a b", "a0", "b"):
        (photos / folder).mkdir()
        picture = Image.new("RGB", (40, 40), (len(folder) * 60, 20, ord(folder[-1])))
        picture.save(photos / folder / f"{folder}.png")
    library.index(photos)
    assert names(library.search("x", top=50, folders=[photos / "a"])) == ["a.png"]
    both = library.search("x", top=50, folders=[photos / "a", photos / "a b"])
    assert sorted(names(both)) == ["a b.png", "a.png"]
    assert len(library.search("x", top=50, folders=[photos])) == len(library)
    with pytest.raises(LibraryError, match="no such folder"):
        library.search("x", folders=["/nowhere/else"])


@pytest.mark.slow
def test_top_offset_min_score_and_sort(library: Library, photos: Path) -> None:
    library.index(photos)
    everything = library.search("a photo", top=20)
    assert names(library.search("a photo", top=3)) == names(everything)[:3]
    assert names(library.search("a photo", top=3, offset=2)) == names(everything)[2:5]
    cut = (everything[3].score + everything[4].score) / 2
    assert names(library.search("a photo", top=20, min_score=cut)) == names(everything)[:4]
    by_path = library.search("a photo", top=4, sort="path")
    assert names(by_path) == sorted(names(everything)[:4])
    with pytest.raises(QueryError):
        library.search("a photo", top=0)


@pytest.mark.slow
def test_sure_keeps_the_photos_that_the_calibration_selects(library: Library, photos: Path) -> None:
    assert len(library.search("flower", sure=True)) == 0  # an empty library
    library.index(photos)
    every = library.search("cat", top=100)
    vector_of = {
        path: vector
        for chunk in library.embeddings()
        for path, vector in zip(chunk.paths, chunk.vectors, strict=True)
    }
    query = library.encoder.encode_texts(["cat"])[0]
    vectors = np.stack([vector_of[each.path] for each in every])
    kept = library._connection.snapshot.calibration.is_sure(vectors, query)
    assert 0 < kept.sum() < len(SAMPLES)
    expected = [each.path.name for each, keep in zip(every, kept.tolist(), strict=True) if keep]
    assert names(library.search("cat", top=100, sure=True)) == expected
    assert names(library.search("cat", top=1, sure=True)) == expected[:1]
    assert names(library.search("cat", top=3, offset=1, sure=True)) == names(every)[1:4][: len(expected) - 1]
    assert not len(library.search("cat", top=100, sure=True, min_score=1))
    with pytest.raises(QueryError, match="words alone"):
        library.search(str(photos / "cat.png"), sure=True)
    with pytest.raises(QueryError, match=r"`sure` is not offered for '猫'.*en"):
        library.search("猫", sure=True)


def test_sure_and_unknown_need_a_calibration(tmp_path: Path, photos: Path) -> None:
    folder = make_model_folder(tmp_path / "toy", calibrated=False)
    with Library.open(tmp_path / "toys", str(folder)) as library:
        library.index(photos)
        assert len(library.search("flower")) == len(SAMPLES)
        for ask in (
            lambda: library.search("flower", sure=True),
            lambda: library.classify(["a", "b"], unknown=True),
        ):
            with pytest.raises(ModelError, match="the model toy is not calibrated"):
                ask()


def test_kept_labels_restrict_searches(library: Library, photos: Path) -> None:
    (photos / "more").mkdir()
    shutil.copyfile(photos / "cat.png", photos / "more" / "cat.png")
    library.index(photos)
    given = {each.path: each.label for each in library.classify(["cat", "rocket"], photos, keep=True)}
    assert len(given) == len(SAMPLES) + 1
    for label in set(given.values()):
        found = library.search("anything", top=100, labels=[label], duplicates=True)
        assert {match.path for match in found} == {path for path in given if given[path] == label}
    both = library.search(
        "anything", top=100, labels=sorted(set(given.values())), folders=[photos / "more"], duplicates=True
    )
    assert names(both) == ["cat.png"]
    with pytest.raises(LabelError, match="no photo has the label 'zebra'"):
        library.search("anything", labels=["zebra"])


@pytest.mark.slow
def test_excluded_folders_stay_excluded(library: Library, photos: Path) -> None:
    (photos / "thumbs").mkdir()
    shutil.copyfile(photos / "cat.png", photos / "thumbs" / "cat.png")
    library.index(photos, exclude=["thumbs"])
    assert len(library) == len(SAMPLES)
    library.index(photos)
    library.index()
    assert len(library) == len(SAMPLES)
    library.index(photos, exclude=[])
    assert len(library) == len(SAMPLES) + 1


def test_forget(library: Library, photos: Path) -> None:
    library.index(photos)
    with pytest.raises(LibraryError, match="knows nothing"):
        library.forget("/nowhere")
    assert library.forget(photos) == len(SAMPLES)
    assert len(library.search("cat")) == 0
    assert (len(library), library.status().folders) == (0, ())
    assert (photos / "cat.png").exists()


def test_unknown_folder(library: Library, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="nowhere"):
        library.index(tmp_path / "nowhere")
    assert library.status().folders == ()
    (tmp_path / "empty").mkdir()
    (report,) = library.index(tmp_path / "empty")
    assert "no photos" in str(report)
    with pytest.raises(LibraryError, match="no folder has been indexed"):
        Library.open(tmp_path / "other").index()


def test_folders_inside_each_other(library: Library, photos: Path) -> None:
    (photos / "trip").mkdir()
    (photos / "cat.png").rename(photos / "trip" / "cat.png")
    library.index(photos / "trip")
    library.index(photos)
    library.index(photos / "trip")
    assert [os.fsdecode(root.path) for root, _ in library.status().folders] == [str(photos)]
    assert len(library) == len(SAMPLES)


@pytest.mark.slow
def test_switching_the_model(library: Library, photos: Path, tmp_path: Path) -> None:
    from tests.support.tiny_models import make_model_folder

    library.index(photos)
    old = names(library.search("cat", top=20))
    other = make_model_folder(tmp_path / "other", seed=7, dim=48)
    trip = tmp_path / "trip"
    shutil.copytree(photos, trip)
    library.index(trip)
    with Library.open(library.path, model=str(other)) as switching:
        switching.index(trip)  # recognises nothing: vectors of two models never mix
        status = switching.status()
        assert (status.next_model, status.to_embed) == ("other", len(SAMPLES))
    with Library.open(library.path) as unswitched:
        assert unswitched.model == "tiny"
        assert names(unswitched.search("cat", top=20, folders=[photos])) == old
    with Library.open(library.path, model=str(other)) as switching:
        switching.index()
        assert switching.status().next_model is None
    with Library.open(library.path) as switched:
        assert switched.model == "other"
        assert len(switched.search("cat", top=50, duplicates=True)) == 2 * len(SAMPLES)


def test_changed_model_folder_is_refused(photos: Path, tmp_path: Path) -> None:
    from tests.support.tiny_models import make_model_folder

    model = make_model_folder(tmp_path / "model")
    with Library.open(tmp_path / "lib", model=str(model)) as library:
        library.index(photos)
    make_model_folder(model, seed=99)
    with Library.open(tmp_path / "lib") as library, pytest.raises(ModelError, match="has changed"):
        library.search("cat")


def test_import_of_vectors_computed_elsewhere(library: Library, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 32)).astype(np.float32)
    np.savez(tmp_path / "v.npz", paths=np.array([f"/far/away/{n}.jpg" for n in range(50)]), vectors=vectors)
    report = library.import_(tmp_path / "v.npz")
    assert (report.added, len(library)) == (50, 50)
    found = library.search("anything", top=50)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    query = library.encoder.encode_texts(["anything"])[0]
    best = np.argsort(-(unit @ query))[0]
    assert found[0].path == Path(f"/far/away/{best}.jpg")
    assert library.status().counts.unreachable == 50
    assert {match.reachable for match in found} == {False}


def test_catalog_states_are_what_the_schema_says() -> None:
    assert [state.value for state in State] == [0, 1, 2]


def test_match_ranks_the_lines_of_a_file(library: Library, photos: Path, tmp_path: Path) -> None:
    lines = ["a cat looks at you", "two red flowers", "", "a temple under a blue sky"]
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(lines))
    photo = library.encoder.encode_images([Image.open(photos / "cat.png").convert("RGB")])[0]
    scores = library.encoder.encode_texts(lines) @ photo
    heard: list[tuple[int, int]] = []
    found = library.match(photos / "cat.png", file, top=2, progress=lambda *done: heard.append(done))
    expected = sorted((row for row, line in enumerate(lines) if line), key=lambda row: -scores[row])
    assert [match.line - 1 for match in found] == expected[:2]
    assert [match.score for match in found] == pytest.approx(sorted(scores[expected])[:0:-1], abs=1e-3)
    assert heard[-1] == (3, 3)
    with pytest.raises(QueryError, match="no such photo"):
        library.match("none.jpg", file)

"""Linear probes: the regression against scikit-learn, the sweep, the file, the curve, the report."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from clipsight import Library
from clipsight import probe as probes
from clipsight.classification.dataset import LabelledVectors
from clipsight.classification.prompts import TemplateSet, load_templates
from clipsight.classification.splits import sample_shots, train_test_split
from clipsight.core.errors import LabelError
from clipsight.probe import Probe
from clipsight.probe.few_shot import few_shot_curve, shots_up_to, to_csv
from clipsight.probe.head import Head, interpolate, zero_shot_head
from clipsight.probe.logistic import (
    DEFAULT_ALPHA,
    DEFAULT_C,
    FINE_TUNE_C,
    SWEEP,
    best_alpha,
    fine_tune,
    fit_head,
    logistic_regression,
    sweep,
    validation_folds,
)
from clipsight.probe.plots import confusion_png, curve_png
from clipsight.search.results import Embeddings
from tests.support.catalogs import SRC
from tests.support.samples import SAMPLES

DIM = 8
ZERO = Head(np.zeros((3, DIM)), np.zeros(3))


def points(per_class: int, classes: int = 3, noise: float = 0.6, seed: int = 0) -> LabelledVectors:
    """Unit vectors around one direction a class."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    vectors = np.eye(classes, DIM)[labels] + noise * rng.standard_normal((len(labels), DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    names = tuple(f"class {number}" for number in range(classes))
    paths = tuple(Path(f"/{number}.jpg") for number in range(len(labels)))
    return LabelledVectors(names, paths, vectors, labels)


WORDS = Head(20 * np.eye(3, DIM), np.zeros(3))
"""What a text tower would say of `points`: right as far as the noise lets it be."""


# -- the regression ---------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("C", [0.1, 10.0])
def test_the_plain_probe_is_scikit_learns(classes: int, C: float) -> None:
    train = points(10, classes)
    theirs = LogisticRegression(C=C, max_iter=1000).fit(train.vectors, train.labels)
    ours = logistic_regression(train.vectors, train.labels, C)
    unseen = points(10, classes, seed=1).vectors
    np.testing.assert_allclose(ours.probabilities(unseen), theirs.predict_proba(unseen), atol=1e-6)


@pytest.mark.parametrize("C", [0.1, 1.0, 100.0])
def test_fine_tuning_from_nothing_is_scikit_learns(C: float) -> None:
    train = points(10)
    ones = np.column_stack([train.vectors, np.ones(len(train))])  # the bias is held to its start too
    theirs = LogisticRegression(C=C, max_iter=1000, fit_intercept=False, tol=1e-8).fit(ones, train.labels)
    ours = fine_tune(ZERO, train.vectors, train.labels, C)
    np.testing.assert_allclose(ours.weights, theirs.coef_[:, :-1], atol=1e-3 * C**0.5)
    np.testing.assert_allclose(ours.bias, theirs.coef_[:, -1], atol=1e-3 * C**0.5)


def test_fine_tuning_stays_at_its_start_when_held_and_leaves_it_when_not() -> None:
    train = points(10)
    held = fine_tune(WORDS, train.vectors, train.labels, 1e-9)
    np.testing.assert_allclose(held.weights, WORDS.weights, atol=1e-6)
    assert (
        fine_tune(WORDS, train.vectors, train.labels, 1e4).probabilities(train.vectors)[:10, 0] > 0.9
    ).all()


def test_fine_tuning_is_at_a_minimum() -> None:
    train, C = points(10), 3.0
    tuned = fine_tune(WORDS, train.vectors, train.labels, C)
    missed = tuned.probabilities(train.vectors.astype(float)) - np.eye(3)[train.labels]
    # The slope of C x cross entropy + half the squared distance, for weights and bias.
    assert np.abs(C * missed.T @ train.vectors + tuned.weights - WORDS.weights).max() < 1e-3
    assert np.abs(C * missed.sum(0) + tuned.bias).max() < 1e-3


def test_interpolation_runs_from_one_end_to_the_other() -> None:
    train = points(10)
    end = fine_tune(WORDS, train.vectors, train.labels, 10)
    np.testing.assert_array_equal(interpolate(WORDS, end, 0).weights, WORDS.weights)
    np.testing.assert_array_equal(interpolate(WORDS, end, 1).weights, end.weights)
    half = interpolate(WORDS, end, 0.5).logits(train.vectors)
    np.testing.assert_allclose(half, (WORDS.logits(train.vectors) + end.logits(train.vectors)) / 2, atol=1e-9)


def test_probabilities_of_large_logits() -> None:
    head = Head(np.array([[1e6, 0], [0, 1e6]]), np.zeros(2))
    np.testing.assert_array_equal(head.probabilities(np.eye(2)), np.eye(2))


# -- what is chosen -------------------------------------------------------------------


@pytest.mark.parametrize("peak", [0, 1, 7, 16, 40, 41, 63, 95, 96])
def test_the_sweep_finds_a_peak_at_the_resolution_of_the_paper(peak: int) -> None:
    asked: list[float] = []

    def judge(C: float) -> tuple[float, float]:
        asked.append(C)
        return -abs(np.log10(C) - np.log10(SWEEP[peak])), 0.0

    assert sweep(judge) == SWEEP[peak]
    assert asked[:7] == pytest.approx([1e-6, 1e-4, 1e-2, 1, 1e2, 1e4, 1e6])
    assert len(asked) == len(set(asked)) <= 7 + 2 * 4


def test_of_equal_values_the_sweep_takes_the_strongest_regularisation() -> None:
    assert sweep(lambda C: (1.0, 0.0)) == SWEEP[0] == 1e-6


def test_likelihood_decides_between_equal_accuracies() -> None:
    assert sweep(lambda C: (0.5, -abs(np.log10(C) - 2))) == pytest.approx(100)


def test_validation_takes_fifths_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [10, 5, 1])
    splits = validation_folds(labels)
    assert len(splits) == 5
    for training, validation in splits:
        assert sorted([*training, *validation]) == list(range(16))
        assert np.bincount(labels[validation], minlength=3).tolist() == [2, 1, 0]
    assert sorted(np.concatenate([validation for _, validation in splits])) == list(range(15))


def test_validation_of_two_photos_a_class_and_of_one() -> None:
    splits = validation_folds(np.array([0, 0, 1, 1]))
    assert [sorted(np.array([0, 0, 1, 1])[validation]) for _, validation in splits] == [[0, 1], [0, 1]]
    assert validation_folds(np.arange(4)) == []


def test_large_collections_are_validated_on_one_split() -> None:
    [(training, validation)] = validation_folds(np.repeat([0, 1], 2000))
    assert (len(training), len(validation)) == (3200, 800)


def test_of_few_photos_only_alpha_is_chosen() -> None:
    few_photos = points(10)
    plain, tuned = (
        fit_head(few_photos.vectors, few_photos.labels, *start) for start in ((), (WORDS, "auto"))
    )
    assert (plain.C, plain.alpha, plain.validation_photos) == (DEFAULT_C, None, 0)
    assert (tuned.C, tuned.validation_photos) == (FINE_TUNE_C, 30)
    single = points(1)
    tuned = fit_head(single.vectors, single.labels, WORDS, "auto")
    assert (tuned.C, tuned.alpha, tuned.validation_photos) == (FINE_TUNE_C, DEFAULT_ALPHA, 0)
    given = fit_head(few_photos.vectors, few_photos.labels, WORDS, 0.3)
    assert given.alpha == 0.3


def test_alpha_needs_a_gain_of_more_than_a_standard_error() -> None:
    labels = np.zeros(4, int)
    begun, better = np.zeros((4, 2)), np.tile([1.0, 0.0], (4, 1))
    assert best_alpha(begun, better, labels) == 1.0
    assert best_alpha(begun, -better, labels) == 0.0
    mixed = better * np.array([[3], [3], [3], [-2]])  # better on the whole, but not clearly
    assert best_alpha(begun, mixed, labels) == 0.0
    # Of opposite errors the middle is best: p = sigmoid(8 - 12 alpha) and sigmoid(12 alpha - 4) at once.
    begun, tuned = np.array([[8.0, 0], [-4, 0]] * 9), np.array([[-4.0, 0], [8, 0]] * 9)
    assert best_alpha(begun, tuned, np.zeros(18, int)) == 0.5


def test_many_photos_choose_what_is_best_on_validation() -> None:
    many = points(40, noise=0.5)
    found = fit_head(many.vectors, many.labels)
    assert found.validation_photos == 120 and found.C in SWEEP
    splits = validation_folds(many.labels)

    def accuracy(C: float) -> float:
        right = [
            logistic_regression(many.vectors[a].astype(float), many.labels[a], C)
            .logits(many.vectors[b]).argmax(1) == many.labels[b]
            for a, b in splits
        ]  # fmt: skip
        return float(np.concatenate(right).mean())

    assert accuracy(found.C) >= max(accuracy(C) for C in SWEEP[::16])


def test_alpha_leaves_words_that_are_wrong_and_keeps_words_that_are_right() -> None:
    many = points(40, noise=0.5)
    wrong = Head(np.roll(WORDS.weights, 1, axis=0), WORDS.bias)
    found = fit_head(many.vectors, many.labels, wrong, "auto")
    assert found.alpha is not None and found.alpha > 0.5
    right = (found.head.logits(many.vectors).argmax(1) == many.labels).mean()
    assert right > 0.8 > (wrong.logits(many.vectors).argmax(1) == many.labels).mean()
    assert fit_head(many.vectors, many.labels, WORDS, 0.0).head.weights == pytest.approx(WORDS.weights)


def test_from_good_words_few_shots_beat_both_ends() -> None:
    test = points(300, noise=0.5, seed=9)

    def accuracy(head: Head) -> float:
        return float((head.logits(test.vectors).argmax(1) == test.labels).mean())

    blunt = Head(WORDS.weights + 6 * np.random.default_rng(0).standard_normal((3, DIM)), WORDS.bias)
    for shots in (1, 2):
        trains = [points(shots, noise=0.5, seed=seed) for seed in range(10)]
        plain = float(np.mean([accuracy(fit_head(each.vectors, each.labels).head) for each in trains]))
        tuned = np.mean(
            [accuracy(fit_head(each.vectors, each.labels, blunt, "auto").head) for each in trains]
        )
        assert float(tuned) >= max(plain, accuracy(blunt))


def test_the_same_seed_fits_the_same_probe() -> None:
    many = points(40)
    one, other = (fit_head(many.vectors, many.labels, seed=3) for _ in range(2))
    np.testing.assert_allclose(one.head.weights, other.head.weights, rtol=1e-6)


# -- photos held out ----------------------------------------------------------------------


def test_split_holds_out_a_fifth_of_every_class() -> None:
    train, test = train_test_split(points(10))
    assert np.bincount(test.labels).tolist() == [2, 2, 2] and len(train) == 24
    assert not set(train.paths) & set(test.paths)
    assert (
        train_test_split(points(10))[1].paths == test.paths != train_test_split(points(10), seed=1)[1].paths
    )


def test_split_of_two_photos_a_class_and_of_one() -> None:
    train, test = train_test_split(points(2))
    assert np.bincount(train.labels).tolist() == np.bincount(test.labels).tolist() == [1, 1, 1]
    with pytest.raises(LabelError, match="'class 0' has one readable photo"):
        train_test_split(points(1))


def test_failures_are_told_once() -> None:
    photos = points(5)
    broken = LabelledVectors(
        photos.classes, photos.paths, photos.vectors, photos.labels, ((Path("a"), "why"),)
    )
    train, test = train_test_split(broken)
    assert (*train.failures, *test.failures) == broken.failures


def test_shots_are_sampled_from_every_class() -> None:
    photos = points(10)
    sample, rest = sample_shots(photos, 4)
    assert np.bincount(sample.labels).tolist() == [4, 4, 4]
    assert sorted([*sample.paths, *rest.paths]) == sorted(photos.paths)
    for shots in (0, 11):
        with pytest.raises(LabelError, match=f"`shots` is {shots}, but the class 'class 0' has 10 photos"):
            sample_shots(photos, shots)


def test_test_photos_may_have_some_of_the_classes() -> None:
    photos = points(2)
    part = LabelledVectors(("class 2", "class 1"), photos.paths[:2], photos.vectors[:2], np.array([0, 1]))
    assert part.with_classes(photos.classes).labels.tolist() == [2, 1]
    with pytest.raises(LabelError, match="'class 1' of the test photos is not one of the trained classes"):
        part.with_classes(("class 0", "class 2"))


# -- the curve ----------------------------------------------------------------------------


def test_the_curve_has_a_point_for_each_number_of_shots_and_one_for_all() -> None:
    train, test = points(20), points(50, seed=1)
    found = list(few_shot_curve(train, test, WORDS, shots_up_to(train), 3))
    assert [point.shots for point in found] == [1, 2, 4, 8, 16, None]
    assert [len(point.probe) for point in found] == [3] * 5 + [1]
    assert [point.photos for point in found] == [3, 6, 12, 24, 48, 60]
    zero_shot = (WORDS.logits(test.vectors).argmax(1) == test.labels).mean()
    assert {point.zero_shot for point in found} == {zero_shot}
    everything = fit_head(train.vectors, train.labels).head
    assert found[-1].probe == ((everything.logits(test.vectors).argmax(1) == test.labels).mean(),)
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert [row["shots"] for row in rows] == ["1", "2", "4", "8", "16", "all"]
    assert float(rows[0]["probe"]) == pytest.approx(np.mean(found[0].probe), abs=1e-6)
    assert float(rows[0]["probe_std"]) == pytest.approx(np.std(found[0].probe), abs=1e-6)


def test_shots_of_the_curve() -> None:
    assert shots_up_to(points(20)) == (1, 2, 4, 8, 16)
    assert shots_up_to(points(6)) == (1, 2, 4, 6)
    assert shots_up_to(points(20), 5) == (1, 2, 4, 5)
    assert shots_up_to(points(40), 32) == (1, 2, 4, 8, 16, 32)
    with pytest.raises(LabelError, match="`shots` is 7"):
        shots_up_to(points(6), 7)
    with pytest.raises(LabelError, match="`repeats` is 0"):
        list(few_shot_curve(points(4), points(4), WORDS, (1,), 0))


# -- the file -------------------------------------------------------------------------------

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain_json = st.dictionaries(names, st.none() | st.booleans() | st.integers(-9, 9) | names, max_size=3)


@settings(max_examples=50)
@given(data=st.data(), classes=st.lists(names, min_size=2, max_size=5, unique=True))
def test_the_file_gives_back_what_was_saved(
    data: st.DataObject, classes: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    finite = st.floats(-1e6, 1e6, width=32)
    dim = data.draw(st.integers(1, 6))
    probe = Probe(
        tuple(classes),
        Head(
            data.draw(arrays(np.float32, (len(classes), dim), elements=finite)),
            data.draw(arrays(np.float32, len(classes), elements=finite)),
        ),
        data.draw(names),
        data.draw(names),
        data.draw(plain_json),
        data.draw(plain_json),
    )
    file = tmp_path_factory.mktemp("probe") / "a.probe"
    probe.save(file)
    again = probes.load(file)
    assert (again.classes, again.model, again.fingerprint) == (probe.classes, probe.model, probe.fingerprint)
    assert (again.settings, again.figures) == (probe.settings, probe.figures)
    np.testing.assert_array_equal(again.head.weights, probe.head.weights)
    np.testing.assert_array_equal(again.head.bias, probe.head.bias)
    assert [each.name for each in file.parent.iterdir()] == ["a.probe"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    file = tmp_path / "a.probe"
    Probe(("a", "b"), Head(np.eye(2, 4, dtype=np.float32), np.zeros(2, np.float32)), "tiny", "f" * 32).save(
        file
    )
    return file


def test_every_damage_to_the_file_is_one_line(saved: Path) -> None:
    whole = saved.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    damaged = [whole[:length] for length in (0, 7, 8, 20, 8 + header, len(whole) - 1)]
    damaged += [
        b"PK\x03\x04" + whole,
        b"\xff" * 8 + whole[8:],
        whole[:8] + b"x" * header + whole[8 + header :],
    ]
    damaged += [whole.replace(b"clipsight probe 1", b"clipsight probe 9"), whole.replace(b"F32", b"I32")]
    damaged += [whole.replace(b"weights", b"weighty"), whole.replace(rb"\"b\"", rb"222")]
    for content in damaged:
        assert content != whole
        saved.write_bytes(content)
        with pytest.raises(LabelError, match="not a probe of clipsight, or damaged") as error:
            probes.load(saved)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ["a"]},
        {"classes": ["a", "b", "c"]},
        {"classes": [1, 2]},
        {"classes": "ab"},
        {"model": None},
        {"settings": []},
        {"figures": 1},
    ],
)
def test_contradictions_in_the_file_are_told(saved: Path, change: dict[str, object]) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(saved)
    content = {"format": "clipsight probe 1", "classes": ["a", "b"], "model": "m", "fingerprint": "f"}
    content |= {"settings": {}, "figures": {}} | change  # type: ignore[arg-type]
    save_file(tensors, saved, {"clipsight": json.dumps(content)})
    with pytest.raises(LabelError, match="not a probe of clipsight"):
        probes.load(saved)


def test_weights_that_are_no_numbers_are_told(saved: Path) -> None:
    probe = probes.load(saved)
    Probe(probe.classes, Head(np.full((2, 4), np.nan), probe.head.bias), "m", "f").save(saved)
    with pytest.raises(LabelError, match="not a probe of clipsight"):
        probes.load(saved)


def test_a_file_that_is_not_there_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no such probe"):
        probes.load(tmp_path / "nothing.probe")
    with pytest.raises(LabelError, match="probe"):
        probes.load(tmp_path)


def test_a_file_that_cannot_be_written_leaves_nothing(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(LabelError, match="can't write"):
        probes.load(saved).save(tmp_path / "folder")
    with pytest.raises(LabelError, match="can't write"):
        probes.load(saved).save(tmp_path / "nowhere" / "a.probe")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.probe", "folder"]


@pytest.mark.process
def test_applying_needs_no_scikit_learn(saved: Path) -> None:
    script = (
        "import sys; from clipsight.probe import load; import numpy\n"
        "probe = load(sys.argv[1]); probe.head.probabilities(numpy.eye(4))\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'sklearn', 'scipy', 'matplotlib', 'torch'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, saved], env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr


# -- from photos to a probe -----------------------------------------------------------------


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of six real pictures: crops of a cat and of a cup of coffee."""
    for name, folder in (("cat.png", "cat"), ("coffee.png", "coffee_cup")):
        (tmp_path / "pets" / folder).mkdir(parents=True)
        with Image.open(SAMPLES[name]) as photo:
            for number in range(6):
                box = (20 * number, 10 * number, 20 * number + 250, 10 * number + 200)
                photo.crop(box).save(tmp_path / "pets" / folder / f"{number}.png")
    return tmp_path / "pets"


def test_photos_become_a_probe_that_knows_them(pets: Path, library: Library, tmp_path: Path) -> None:
    report = probes.fit(pets, library, repeats=2)
    assert len(library) == 0  # learning puts no photos into the user's library
    library.index(pets)
    assert report.probe.classes == ("cat", "coffee_cup")
    assert report.scores.accuracy == 1.0 and report.scores.photos == 2
    assert [point.shots for point in report.curve] == [1, 2, 4, 5, None]
    report.probe.save(tmp_path / "pets.probe")
    probe = probes.load(tmp_path / "pets.probe")
    assert probe.figures["top1"] == 1.0 and probe.settings["photos"] == 10
    assert "confusion" not in probe.figures
    predictions = list(probe.apply(library, pets))
    assert len(predictions) == 12
    assert all(each.label == each.path.parent.name and each.probability > 0.5 for each in predictions)
    whole = list(probe.apply(library))
    [single] = list(probe.apply(library, pets / "cat" / "3.png"))
    same = next(each for each in whole if each.path == single.path)
    np.testing.assert_allclose(single.probabilities, same.probabilities, atol=1e-6)
    [stored] = library.embed(single.path)
    np.testing.assert_allclose(
        single.probabilities, report.fit.head.probabilities(stored.vectors)[0], atol=1e-6
    )


def test_zero_shot_weights_are_the_classifiers(library: Library) -> None:
    encoder, templates = library.encoder, TemplateSet("two", ("a {}", "the {}"))
    head = zero_shot_head(["cat", "coffee_cup"], encoder, templates)
    means = encoder.encode_texts(["a coffee cup", "the coffee cup"]).mean(0)
    expected = encoder.logit_scale * means / np.linalg.norm(means)
    np.testing.assert_allclose(head.weights[1], expected, rtol=1e-5)
    assert not head.bias.any()


def test_alpha_zero_is_zero_shot(pets: Path, library: Library) -> None:
    report = probes.fit(pets, library, alpha=0, templates=load_templates("plain"))
    words = zero_shot_head(["cat", "coffee cup"], library.encoder, load_templates("plain"))
    np.testing.assert_allclose(report.probe.head.weights, words.weights, atol=1e-4)
    np.testing.assert_array_equal(report.scores.confusion_matrix, report.zero_shot.confusion_matrix)
    assert report.probe.settings["templates"] == ["{}"]


def test_another_collection_to_test_on(pets: Path, library: Library, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    for name in ("cat", "coffee_cup"):
        (pets / name).rename(tmp_path / "others" / name)
        (pets / name).mkdir()
        for number in (0, 1):
            (tmp_path / "others" / name / f"{number}.png").rename(pets / name / f"{number}.png")
    report = probes.fit(pets, library, test=tmp_path / "others")
    assert (report.photos, report.scores.photos) == (4, 8)


def test_what_cannot_be_fitted_is_told(pets: Path, library: Library) -> None:
    with pytest.raises(LabelError, match="`shots` is 9, but the class 'cat' has 5 photos"):
        probes.fit(pets, library, shots=9)
    for alpha in (-0.1, 1.5, float("nan")):
        with pytest.raises(LabelError, match="choose a number from 0"):
            probes.fit(pets, library, alpha=alpha)


def test_a_library_of_another_model_is_refused(
    pets: Path, library: Library, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from tests.support.tiny_models import make_model_folder

    probe = probes.fit(pets, library).probe
    for name, message in (("other", "vectors of other: fit it again"), ("tiny", "tiny is another version")):
        folder = make_model_folder(tmp_path_factory.mktemp("model") / name, seed=7)
        with Library.open(tmp_path / f"library-{name}", model=str(folder)) as different:
            different.index(pets)
            with pytest.raises(LabelError, match=message):
                probe.apply(different)


def test_applying_streams(library: Library) -> None:
    probe = Probe(("a", "b"), Head(np.eye(2, 32, dtype=np.float32), np.zeros(2, np.float32)), "m", "f")
    chunk = Embeddings(np.arange(3), tuple(map(Path, "abc")), np.eye(3, 32, dtype=np.float32))
    found = probe.predict(chunk)
    assert found.probabilities.dtype == np.float32 and len(found) == 3
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-6)
    empty = Embeddings(np.empty(0, np.int64), (), np.empty((0, 32), np.float32), ((Path("x"), "why"),))
    assert len(probe.predict(empty)) == 0 and probe.predict(empty).failures == empty.failures


# -- pictures ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_pictures_are_drawn_for_any_names_and_numbers() -> None:
    from clipsight.metrics.classification import classification_metrics

    names = ("猫", "a$b_{x}", "with\nnewline", "x" * 200)
    scores = classification_metrics(np.eye(4), np.array([0, 1, 2, 2]), names)
    with Image.open(io.BytesIO(confusion_png(scores, "probe on m$x"))) as picture:
        assert picture.format == "PNG" and picture.width > 300
    large = classification_metrics(np.eye(300), np.arange(300), [str(number) for number in range(300)])
    with Image.open(io.BytesIO(confusion_png(large, "large"))) as picture:
        assert max(picture.size) < 4000
    train = points(6)
    drawn = curve_png(list(few_shot_curve(train, points(9, seed=1), WORDS, (1, 2), 2)), "probe")
    with Image.open(io.BytesIO(drawn)) as picture:
        assert picture.format == "PNG" and picture.width > 300


def test_macro_f1_is_scikit_learns() -> None:
    from clipsight.metrics.classification import classification_metrics

    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((50, 4)), rng.integers(0, 4, 50)
    theirs = f1_score(labels, logits.argmax(1), average="macro")
    assert classification_metrics(logits, labels, "abcd").macro_f1 == pytest.approx(theirs, abs=1e-12)

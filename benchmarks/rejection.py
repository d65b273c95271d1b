"""When does a text not fit at all? Fits the calibration of `clipsight.search.confidence` and measures it.

    python -m benchmarks.rejection DATA WORK

DATA is the folder that recipes/builtin is trained on. Only photos are used that the builtin model has not
seen (its recipe's dev and test splits, by a hash of the file name): the dev photos to fit, the test photos to
measure. Both are dealt into many collections, of 8 photos to all of them, each with labels (or captions)
that are a random part of what could be asked, so that the true answer is often "none of these".
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import measure
from clipsight.classification.prompts import TemplateSet, load_templates
from clipsight.classification.zero_shot import Classifier
from clipsight.library import Library
from clipsight.models.encoder import Encoder
from clipsight.search import confidence
from clipsight.search.confidence import BACKGROUND, Calibration
from recipes.builtin.data import class_names, load_photos

Floats = npt.NDArray[np.float32]
Random = np.random.Generator

_TOP = 10
"""Photos of an answer that are looked at."""
_LEFT_OUT, _NO_SUCH = "captions of photos left out", "captions and classes of other photos"
_TEMPLATES = (load_templates("plain"), TemplateSet("photo", ("a photo of a {}",)), load_templates("simple"))


@dataclass(frozen=True)
class Photos:
    """Photos of one split with their vectors, classes (clothing, scenes) and captions (flickr, coco)."""

    vectors: Floats
    kind: npt.NDArray[np.str_]
    """clothing, scenes or captions"""
    label: npt.NDArray[np.str_]
    captions: dict[int, Floats]
    """of the photos that have captions, float32[captions, dim]"""
    classes: dict[str, tuple[tuple[str, ...], tuple[Floats, ...]]]
    """names of the classes of a kind, and their vectors, one array a template set"""
    strange: Floats
    """names of ImageNet's classes, of which few can be seen in photos of clothes and scenes"""
    background: Floats

    def of_kind(self, *kinds: str) -> npt.NDArray[np.int64]:
        return np.flatnonzero(np.isin(self.kind, kinds))

    def captions_of(self, photos: Sequence[int], random: Random) -> Floats:
        """One caption of each, float32[n, dim]."""
        return np.stack([random.choice(self.captions[photo]) for photo in photos])


@dataclass(frozen=True)
class Judged:
    """Decisions to be made, one an entry: what the calibration is told, and what is true."""

    task: npt.NDArray[np.str_]
    group: npt.NDArray[np.int64]
    """which collection of photos, or which query, it is of"""
    level: npt.NDArray[np.float64]
    crowd: npt.NDArray[np.float64]
    """the logarithm of the number of alternatives"""
    fits: npt.NDArray[np.bool_]
    answerable: npt.NDArray[np.bool_]
    """whether the photo has one of the labels; whether the query has a photo"""

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Judged":
        return Judged(
            self.task[chosen],
            self.group[chosen],
            self.level[chosen],
            self.crowd[chosen],
            self.fits[chosen],
            self.answerable[chosen],
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rejection", description=__doc__.splitlines()[0]
    )
    parser.add_argument("data", type=Path, help="the folder that holds captioned/, clothing/ and scenes/")
    parser.add_argument("work", type=Path, help="a folder for the library")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--collections", type=int, default=300, help="how many are dealt (default 300)")
    arguments = parser.parse_args()
    measure.print_machine("onnxruntime", "numpy", "scikit-learn")

    dev, test = _load(arguments.data.resolve(), arguments.work, arguments.model)
    slope, crowd, offset = _fit(
        _deal(_labels, dev, arguments.collections), _deal(_queries, dev, arguments.collections)
    )
    print(f"\n{len(dev.vectors)} dev photos: SLOPE {slope:.2f}, CROWD {-crowd:.2f}, OFFSET {offset:.2f}")
    print(f"used below: SLOPE {confidence.SLOPE}, CROWD {confidence.CROWD}, OFFSET {confidence.OFFSET}")
    for least, most in ((8, len(test.vectors)), (8, 8)):
        print(
            f"\n{len(test.vectors)} test photos, {arguments.collections} collections of {least} to {most}\n"
        )
        _report_unknown(_deal(_labels, test, arguments.collections, most))
        print()
        _report_sure(_deal(_queries, test, arguments.collections, most))


def _load(data: Path, work: Path, model: str) -> tuple[Photos, Photos]:
    """The dev and the test photos of the recipe, embedded."""
    of_path = {str(data / photo.path): photo for photo in load_photos(data) if photo.split != "train"}
    with Library.open(work / "library", model) as library:
        folders = [data / name for name in ("captioned", "clothing", "scenes")]
        library.index(*folders)
        vectors = {
            str(path): vector
            for chunk in library.embeddings(*folders)
            for path, vector in zip(chunk.paths, chunk.vectors, strict=True)
            if str(path) in of_path
        }
        encoder = library.encoder
        background = encoder.encode_texts(BACKGROUND)
        strange = encoder.encode_texts(class_names(data))
        classes = {kind: _classes(data / kind, encoder) for kind in ("clothing", "scenes")}
        splits = []
        for split in ("dev", "test"):
            paths = [path for path in vectors if of_path[path].split == split]
            kinds = [of_path[path].source for path in paths]
            captions = {
                row: encoder.encode_texts(of_path[path].captions[:2])
                for row, path in enumerate(paths)
                if kinds[row] in ("flickr", "coco")
            }
            splits.append(
                Photos(
                    np.stack([vectors[path] for path in paths]),
                    np.array([kind if kind in classes else "captions" for kind in kinds]),
                    np.array([of_path[path].label for path in paths]),
                    captions,
                    classes,
                    strange,
                    background,
                )
            )
    return splits[0], splits[1]


def _classes(folder: Path, encoder: Encoder) -> tuple[tuple[str, ...], tuple[Floats, ...]]:
    names = tuple(sorted(path.name for path in folder.iterdir()))
    return names, tuple(Classifier.from_labels(names, encoder, templates).weights for templates in _TEMPLATES)


def _deal(
    make: Callable[[Photos, Random, int], Iterator[Judged]],
    photos: Photos,
    collections: int,
    most: int | None = None,
) -> Judged:
    """The decisions of so many random collections of 8 to `most` photos, groups numbered through."""
    random = np.random.default_rng(0)
    most = most or len(photos.vectors)
    # Every order of magnitude of the size is as likely.
    sizes = np.exp(random.uniform(np.log(8), np.log(most), collections)).round().astype(int)
    dealt = [judged for size in sizes for judged in make(photos, random, int(size))]
    lengths = [len(judged.level) for judged in dealt]
    columns = {
        name: np.concatenate([getattr(judged, name) for judged in dealt])
        for name in ("task", "level", "crowd", "fits", "answerable")
    }
    return Judged(group=np.repeat(np.arange(len(dealt)), lengths), **columns)


def _levels(photos: Photos, cosines: Floats, collection: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    calibration = Calibration.of(photos.vectors[collection], photos.background)
    return (cosines.astype(np.float64) - calibration.mean) / calibration.deviation


# -- `classify --unknown`: is any of the labels right for a photo? -----------------------------------


def _labels(photos: Photos, random: Random, size: int) -> Iterator[Judged]:
    """Some labels, and a collection of which none, some or all photos have one of them."""
    kind = random.choice(["clothing", "scenes", "captions"])
    if kind == "captions":
        known = random.choice(photos.of_kind(kind), random.integers(2, 40), replace=False)
        weights, truth = photos.captions_of(known, random), np.arange(len(known))
        strangers = {
            "captions": np.setdiff1d(photos.of_kind(kind), known),
            "others": photos.of_kind("clothing", "scenes"),
        }
    else:
        names, vectors = photos.classes[kind]
        chosen = random.choice(len(names), random.integers(2, len(names) + 1), replace=False)
        weights = vectors[random.integers(len(vectors))][chosen]
        own = photos.of_kind(kind)
        number = {names[index]: row for row, index in enumerate(chosen)}
        known = np.array([photo for photo in own if photos.label[photo] in number], dtype=np.int64)
        truth = np.array([number[photos.label[photo]] for photo in known])
        # Photos with captions show streets, seas and mountains as well, so they are no strangers to scenes.
        far = ("scenes", "captions") if kind == "clothing" else ("clothing",)
        strangers = {kind: np.setdiff1d(own, known), "others": photos.of_kind(*far)}
    unknown = np.concatenate(list(strangers.values()))
    some = random.permutation(len(known))[: round(random.choice([0, 0.1, 0.3, 0.6, 1]) * size)]
    rest = random.choice(unknown, min(len(unknown), size - len(some)), replace=False)
    collection = np.concatenate([known[some], rest])
    answerable = np.arange(len(collection)) < len(some)
    cosines = photos.vectors[collection] @ weights.T
    best = cosines.argmax(axis=1)
    fits = answerable & (best == np.concatenate([truth[some], np.full(len(rest), -1)]))
    near = np.isin(collection, strangers.get(kind, ())) & ~answerable
    yield Judged(
        np.where(answerable, kind, np.where(near, f"{kind}, near", f"{kind}, far")),
        np.zeros(len(collection), np.int64),
        _levels(photos, cosines.max(axis=1), collection),
        np.full(len(collection), np.log(len(weights))),
        fits,
        answerable,
    )


def _report_unknown(judged: Judged) -> None:
    accepted = _chance(judged) >= 0.5
    rows = []
    for kind in ("clothing", "scenes", "captions"):
        known, near, far = (judged.task == kind + part for part in ("", ", near", ", far"))
        rows.append(
            (
                kind,
                f"{known.sum():,}",
                _percent(~accepted[known]),
                f"{near.sum():,}",
                _percent(accepted[near]),
                f"{far.sum():,}",
                _percent(accepted[far]),
            )
        )
    heading = (
        "labels",
        "photos with a label",
        "false reject %",
        "near strangers",
        "false accept %",
        "far strangers",
        "false accept % ",
    )
    measure.print_table(heading, rows)


# -- `search --sure`: which of the best photos does a query fit? -------------------------------------


def _queries(photos: Photos, random: Random, size: int) -> Iterator[Judged]:
    """A collection, and queries of which about half have an answer in it."""
    everything = [(kind, name) for kind in photos.classes for name in photos.classes[kind][0]]
    present = [pair for pair in everything if random.random() < 0.5]
    pool = [np.flatnonzero((photos.kind == kind) & (photos.label == name)) for kind, name in present]
    captioned = photos.of_kind("captions")
    with_captions = random.random() < 0.6 or not present
    every = np.concatenate([*pool, captioned] if with_captions else pool)
    collection = random.choice(every, min(size, len(every)), replace=False)
    for kind, name in everything:
        names, vectors = photos.classes[kind]
        right = (photos.kind[collection] == kind) & (photos.label[collection] == name)
        if with_captions and (kind == "scenes" or not right.any()):
            continue  # people wear clothes, and there are seas and streets, of which the labels know nothing
        yield _answer(
            photos, vectors[random.integers(len(vectors))][names.index(name)], collection, right, kind
        )
    inside, outside = np.intersect1d(captioned, collection), np.setdiff1d(captioned, collection)
    for photo in random.permutation(inside)[:15]:
        (query,) = photos.captions_of([photo], random)
        yield _answer(photos, query, collection, collection == photo, "captions")
    nothing = np.zeros(len(collection), np.bool_)
    for photo in random.permutation(outside)[:15]:
        (query,) = photos.captions_of([photo], random)
        yield _answer(photos, query, collection, nothing, _LEFT_OUT if with_captions else _NO_SUCH)
    if not with_captions:
        for query in random.permutation(photos.strange)[:15]:
            yield _answer(photos, query, collection, nothing, _NO_SUCH)


def _answer(
    photos: Photos,
    query: Floats,
    collection: npt.NDArray[np.int64],
    right: npt.NDArray[np.bool_],
    task: str,
) -> Judged:
    """The best photos of a query."""
    cosines = photos.vectors[collection] @ query
    best = np.argsort(-cosines)[:_TOP]
    return Judged(
        np.full(len(best), task),
        np.zeros(len(best), np.int64),
        _levels(photos, cosines[best], collection),
        np.full(len(best), np.log(len(collection))),
        right[best],
        np.full(len(best), right.any()),
    )


def _report_sure(judged: Judged) -> None:
    kept = _chance(judged) >= confidence.SURE
    rows = []
    for task in ("clothing", "scenes", "captions", _LEFT_OUT, _NO_SUCH):
        chosen = judged.task == task
        asked = set(judged.group[chosen & judged.answerable])
        absent = set(judged.group[chosen & ~judged.answerable])
        rows.append(
            (
                task,
                _percent(judged.fits[chosen & kept]),
                f"{len(asked):,}",
                _share(asked, judged.group[judged.fits]),
                _share(asked, judged.group[judged.fits & kept]),
                f"{len(absent):,}",
                _share(absent, np.setdiff1d(judged.group, judged.group[kept])),
            )
        )
    heading = (
        "queries",
        "right among the kept %",
        "with an answer",
        "of which in the best ten %",
        "kept %",
        "without",
        "answered by nothing %",
    )
    measure.print_table(heading, rows)


# -- the fit ---------------------------------------------------------------------------------------


def _fit(labels: Judged, queries: Judged) -> tuple[float, float, float]:
    """Coefficients of level and ln(alternatives), and the constant: both tasks weigh the same.

    Of each query the best photo counts. Left out is what may well fit although nobody says so: photos that
    are like those a caption was written for, and photos whose best label is a wrong one.
    """
    from sklearn.linear_model import LogisticRegression

    labels = labels.where(labels.fits | ~labels.answerable)
    _, first = np.unique(queries.group, return_index=True)
    queries = queries.where(np.isin(np.arange(len(queries.level)), first))
    queries = queries.where(queries.fits | ~np.isin(queries.task, ["captions", _LEFT_OUT]))
    sizes = np.bincount(labels.group)[labels.group]  # each collection counts as one
    weights = [1 / sizes / (1 / sizes).sum(), np.full(len(queries.level), 1 / len(queries.level))]
    features = np.concatenate([np.stack([part.level, part.crowd], axis=1) for part in (labels, queries)])
    fits = np.concatenate([labels.fits, queries.fits])
    model = LogisticRegression(C=1000, max_iter=2000)
    model.fit(features, fits, sample_weight=10_000 * np.concatenate(weights))
    return float(model.coef_[0, 0]), float(model.coef_[0, 1]), float(model.intercept_[0])


def _chance(judged: Judged) -> npt.NDArray[np.float64]:
    odds = confidence.SLOPE * judged.level - confidence.CROWD * judged.crowd + confidence.OFFSET
    chance: npt.NDArray[np.float64] = 1 / (1 + np.exp(-odds))
    return chance


def _percent(hits: npt.NDArray[np.bool_]) -> str:
    return f"{100 * hits.mean():.1f}" if len(hits) else ""


def _share(groups: set[int], of: npt.NDArray[np.int64]) -> str:
    return f"{100 * len(groups & set(of)) / len(groups):.1f}" if groups else ""


if __name__ == "__main__":
    main()

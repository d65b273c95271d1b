"""Photos that are added, moved, changed and deleted, and what must be true of a library of them.

Every content is a picture of its own, with a size and date of its own, and the vectors that the models of
the tests give it are known; so any vector in a catalog can be held against the content that it is said
to be of, and any row against what ever lay at its path.
"""

import os
import random
import shutil
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from clipsight.indexing.pipeline import hash_content
from clipsight.maintenance.check import CheckReport, check
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder
from clipsight.store.catalog import CATALOG_NAME, Catalog
from clipsight.store.records import State
from clipsight.store.vectors.faiss import FaissIndex
from clipsight.store.vectors.rerank import rank
from tests.durability.work import scaled
from tests.support.tiny_models import make_model_folder

Vector = npt.NDArray[np.float32]

FOLDERS = ("a", "b", "b/c")
_OFF = 2e-3  # float16, and the order in which a batch is summed


@dataclass(frozen=True)
class Seen:
    """What a catalog held at a moment: content of each photo by path, and paths with a vector."""

    photos: dict[str, bytes]
    embedded: frozenset[str]
    last_id: int
    """the highest vector id that was ever given out"""


@dataclass
class World:
    """A folder of photos, a library of them, and the models it may have."""

    folder: Path
    models: tuple[Path, ...]
    chance: random.Random
    files: dict[Path, bytes] = field(default_factory=dict)
    """Hash of the content that lies at each path now."""
    ever: set[tuple[str, bytes]] = field(default_factory=set)
    """Every (path, hash) that there was."""
    contents: dict[bytes, Path] = field(default_factory=dict)
    """A file, kept elsewhere, of each content."""
    _vectors: dict[tuple[Path, bytes], Vector] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in FOLDERS:
            (self.photos / name).mkdir(parents=True)
        (self.folder / "contents").mkdir()

    @property
    def photos(self) -> Path:
        return self.folder / "photos"

    @property
    def library(self) -> Path:
        return self.folder / "library"

    # -- what people do to photos ---------------------------------------------------------------------

    def add(self, count: int) -> None:
        """New photos in any of the folders."""
        for _ in range(count):
            content = self._new_content()
            self._put(self.photos / self.chance.choice(FOLDERS) / f"{len(self.contents):05}.png", content)

    def disturb(self) -> None:
        """Add, delete, change, copy, move and touch some photos, and rename a folder to and fro."""
        self.add(self.chance.randint(2, 6))
        for file in self._some(3):
            self._remove(file)
        for file in self._some(2):
            self._put(file, self._new_content())
        for file in self._some(2):
            self._put(file.with_name(f"copy-{self.chance.randrange(1000)}.png"), self.files[file])
        for file in self._some(4):
            target = self.photos / self.chance.choice(FOLDERS) / f"moved-{self.chance.randrange(10**6)}.png"
            file.rename(target)
            self._note(target, self.files.pop(file))
        for file in self._some(3):
            os.utime(file, ns=(1, self.chance.randrange(10**18)))
        first, second = self._some(2)
        first.rename(self.folder / "aside")
        second.rename(first)
        (self.folder / "aside").rename(second)
        contents = self.files[first], self.files[second]
        self._note(second, contents[0])
        self._note(first, contents[1])

    def _some(self, count: int) -> list[Path]:
        return self.chance.sample(sorted(self.files), count)

    def _new_content(self) -> bytes:
        number = len(self.contents)
        file = self.folder / "contents" / f"{number:05}.png"
        pixels = np.random.default_rng(number).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((32, 32), Image.Resampling.NEAREST).save(file)
        os.utime(file, ns=(1, (1_600_000_000 + number) * 10**9))
        content = hash_content(file)
        self.contents[content] = file
        return content

    def _put(self, file: Path, content: bytes) -> None:
        shutil.copy2(self.contents[content], file)
        self._note(file, content)

    def _note(self, file: Path, content: bytes) -> None:
        self.files[file] = content
        self.ever.add((str(file), content))

    def _remove(self, file: Path) -> None:
        file.unlink()
        del self.files[file]

    # -- what must be true ------------------------------------------------------------------------------

    def seen(self) -> Seen:
        """What the catalog holds; AssertionError for a vector or a row that is not right."""
        with closing(Catalog(self.library)) as catalog:
            current = catalog.current_model()
            rows = catalog.database.rows(
                "SELECT p.folder, p.name, p.hash, p.state, m.id, m.fingerprint, v.vector FROM photos p "
                "LEFT JOIN vectors v ON v.photo_id = p.id LEFT JOIN models m ON m.id = v.model_id"
            )
            last_id = catalog.last_vector_id()
        photos: dict[str, bytes] = {}
        embedded = set()
        for folder, name, content, state, model_id, fingerprint, vector in rows:
            path = os.fsdecode(os.path.join(folder, name))
            assert (path, content) in self.ever, f"{path} never had the content that the catalog says"
            if vector is not None:
                expected = self._expected(self._model_of[fingerprint], content)
                assert np.abs(np.frombuffer(vector, dtype="<f2") - expected).max() < _OFF, f"vector of {path}"
            if state != State.MISSING:
                photos[path] = content
                if current is not None and model_id == current.id:
                    embedded.add(path)
        return Seen(photos, frozenset(embedded), last_id)

    def current_model(self) -> Path:
        """The model that the library has, or is to get."""
        if not (self.library / CATALOG_NAME).exists():
            return self.models[0]
        with closing(Catalog(self.library)) as catalog:
            current = catalog.current_model()
            return self.models[0] if current is None else self._model_of[current.fingerprint]

    def nothing_lost(self, before: Seen, after: Seen, forgotten: Path | None = None) -> None:
        """AssertionError if a photo whose file is as it was, or its vector, is gone.

        The folder `forgotten` is forgotten as a whole or not at all.
        """
        below = f"{forgotten}/"
        kept = {path: content for path, content in before.photos.items() if not path.startswith(below)}
        for path, content in kept.items():
            if self.files.get(Path(path)) == content:
                assert after.photos.get(path) == content, f"{path} is lost"
                assert path not in before.embedded or path in after.embedded, f"the vector of {path} is lost"
        if forgotten is not None:
            left = {path for path in after.photos if path.startswith(below)}
            assert left in (set(), before.photos.keys() - kept.keys()), "forgotten by half"

    def sound(self) -> CheckReport:
        """What `clipsight check` says, which must be that the library is consistent."""
        report = check(self.library)
        assert report.consistent, [str(finding) for finding in report.findings]
        return report

    def findable(self, count: int) -> None:
        """AssertionError if one of some embedded photos is not what its own vector finds first."""
        seen = self.seen()
        with closing(Catalog(self.library)) as catalog, scaled():
            model = catalog.current_model()
            if model is None or not seen.embedded:
                return
            index = FaissIndex(self.library / "vectors", catalog, model)
            for path in self.chance.sample(sorted(seen.embedded), min(count, len(seen.embedded))):
                vector = self._expected(self._model_of[model.fingerprint], seen.photos[path])
                ((best,),) = rank(catalog, index, vector[None, :], 1)
                assert seen.photos.get(os.fsdecode(best.photo.path)) == seen.photos[path]

    def complete(self) -> None:
        """AssertionError if the library, just indexed, is not exactly what lies on the disk."""
        seen = self.seen()
        there = {(str(file), content) for file, content in self.files.items()}
        assert set(seen.photos.items()) == there, sorted(set(seen.photos.items()) ^ there)
        assert seen.embedded == seen.photos.keys()
        report = check(self.library, photos=len(self.files))
        assert report.consistent, [str(finding) for finding in report.findings]
        assert report.compared == len(self.files)
        self.findable(5)

    @cached_property
    def _model_of(self) -> dict[str, Path]:
        """Model folders by their fingerprints."""
        return {ModelFolder.read(model).fingerprint(): model for model in self.models}

    @cached_property
    def _encoders(self) -> dict[Path, Encoder]:
        return {model: Encoder(ModelFolder.read(model), threads=1) for model in self.models}

    def _expected(self, model: Path, content: bytes) -> Vector:
        """The unit vector that the model gives to this content."""
        if (model, content) not in self._vectors:
            with Image.open(self.contents[content]) as picture:
                (vector,) = self._encoders[model].encode_images([picture.convert("RGB")])
            self._vectors[model, content] = vector
        return self._vectors[model, content]


def new_world(folder: Path, seed: int) -> World:
    """An empty world with two models, in `folder`."""
    models = tuple(make_model_folder(folder / f"tiny-{number}", seed=number) for number in range(2))
    return World(folder, models, random.Random(seed))

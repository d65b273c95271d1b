"""The pass that reads the text in photos, with a reader made for the test."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from clipsight import Library
from clipsight.core.errors import ModelError
from clipsight.core.text import TextLine
from clipsight.indexing.reading import ReadReport, read_texts
from clipsight.store.catalog import Catalog
from clipsight.store.text_index import candidates, count_texts, text_of
from tests.support.samples import SAMPLES


class SizeReader:
    """Reads the width of wide photos as their text, and interrupts after `limit` photos."""

    def __init__(self, limit: int = 1000) -> None:
        self.sizes: list[tuple[int, int]] = []
        self.limit = limit

    def read(self, image: Image.Image) -> tuple[TextLine, ...]:
        if len(self.sizes) == self.limit:
            raise KeyboardInterrupt
        self.sizes.append(image.size)
        text = f"width {image.width}"
        return (TextLine(text, 0.9, 0.0, 0.0, 1.0, 0.5),) if image.width >= 600 else ()


class BrokenReader:
    def read(self, image: Image.Image) -> tuple[TextLine, ...]:
        raise RuntimeError("Traceback\n  of the engine\nout of luck")


def run(
    folder: Path,
    catalog: Catalog,
    reader: SizeReader | BrokenReader,
    *,
    threads: int = 1,
    retry: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ReadReport:
    limits = {"max_pixels": 10**8, "threads": threads}
    return read_texts(bytes(folder), catalog, lambda: reader, **limits, retry=retry, progress=progress)


@pytest.mark.slow
def test_photos_are_read_once_and_copies_not_at_all(library: Library, photos: Path) -> None:
    shutil.copyfile(photos / "cat.png", photos / "copy.png")
    library.index(photos)
    catalog, reader = library._connection.catalog, SizeReader()
    shown: list[tuple[int, int]] = []
    report = run(photos, catalog, reader, progress=lambda done, total: shown.append((done, total)))
    assert (report.read, report.failed) == (len(SAMPLES), 0) and 0 < report.with_text < report.read
    assert shown == sorted(shown) and shown[-1] == (len(SAMPLES) + 1, len(SAMPLES) + 1)
    assert (640, 427) in reader.sizes
    counts = count_texts(catalog.database, [bytes(photos)])
    assert (counts.read, counts.to_read) == (len(SAMPLES) + 1, 0)
    flower = catalog.photo_id_at(bytes(photos / "flower.jpg"))
    assert flower is not None and text_of(catalog.database, flower)[0].text == "width 640"
    assert "width 640" in [text.words for text in candidates(catalog.database, [["width640"]])]
    assert run(photos, catalog, SizeReader(0)) == ReadReport()
    shutil.copyfile(photos / "flower.jpg", photos / "flower again.jpg")
    (photos / "cat.png").rename(photos / "moved cat.png")
    library.index(photos)
    assert run(photos, catalog, SizeReader(0)) == ReadReport()
    assert count_texts(catalog.database, [bytes(photos)]).to_read == 0


@pytest.mark.slow
def test_an_interrupted_run_goes_on(library: Library, photos: Path) -> None:
    library.index(photos)
    catalog = library._connection.catalog
    with pytest.raises(KeyboardInterrupt):
        run(photos, catalog, SizeReader(3))
    assert count_texts(catalog.database, []).read == 3
    assert run(photos, catalog, SizeReader(), threads=2).read == len(SAMPLES) - 3


@pytest.mark.slow
def test_a_photo_that_is_gone_or_changed_is_left_for_a_later_run(library: Library, photos: Path) -> None:
    library.index(photos)
    content = (photos / "cat.png").read_bytes()
    (photos / "cat.png").unlink()
    shutil.copyfile(photos / "flower.jpg", photos / "coffee.png")
    catalog = library._connection.catalog
    assert run(photos, catalog, SizeReader()).read == len(SAMPLES) - 2
    (photos / "cat.png").write_bytes(content)
    assert run(photos, catalog, SizeReader()).read == 1
    library.index(photos)
    assert run(photos, catalog, SizeReader(0)) == ReadReport()  # the new content was read before


@pytest.mark.slow
def test_failures_are_recorded_and_tried_again_on_request(library: Library, photos: Path) -> None:
    library.index(photos)
    catalog = library._connection.catalog
    assert run(photos, catalog, BrokenReader()).failed == len(SAMPLES)
    failures = count_texts(catalog.database, [bytes(photos)]).failures
    assert {each.reason for each in failures} == {"the text could not be read: out of luck"}
    assert run(photos, catalog, SizeReader()) == ReadReport()
    assert run(photos, catalog, SizeReader(), retry=True).read == len(SAMPLES)


@pytest.mark.slow
def test_the_choice_is_kept_for_the_folder(
    library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = SizeReader()
    made: list[int] = []

    class Made:
        def __init__(self) -> None:
            made.append(1)

        def load(self) -> SizeReader:
            return reader

    monkeypatch.setattr("clipsight.models.ocr.TextReader", Made)
    assert library.index(photos)[0].read == 0 and not made
    status = library.status()
    assert status.text is None
    (report,) = library.index(photos, text=True)
    assert (report.read, report.unread) == (len(SAMPLES), 0) and report.with_text
    assert f"{len(SAMPLES)} read" in str(report)
    shutil.copyfile(photos / "cat.png", photos / "cat.copy")
    (photos / "new.jpg").write_bytes((photos / "flower.jpg").read_bytes() + b"more")
    (report,) = library.index()
    assert report.read == 1
    status = library.status()
    assert status.text is not None and (status.text.read, status.text.to_read) == (len(SAMPLES) + 1, 0)
    library.index(text=False)
    (photos / "newer.jpg").write_bytes((photos / "flower.jpg").read_bytes() + b"even more")
    assert library.index()[0].read == 0
    (photos / "new.jpg").unlink()
    library.index()
    status = library.status()
    assert status.text is not None and status.text.read == len(SAMPLES)


@pytest.mark.slow
def test_without_the_extra_photos_are_embedded_and_a_line_says_why_not_read(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    with Library(tmp_path / "library", "builtin", note=notes.append) as library:
        monkeypatch.setitem(sys.modules, "rapidocr", None)
        with pytest.raises(
            ModelError, match=r"^reading text in photos needs rapidocr: pip install '\.\[ocr\]'"
        ):
            library.index(photos, text=True)
        assert len(library) == 0
        monkeypatch.undo()
        monkeypatch.setattr("clipsight.models.ocr.TextReader", _fails)
        library._connection.catalog.set_root(
            bytes(photos), '{"exclude": [], "text": true}', reachable=True, indexed=None
        )
        (report,) = library.index(photos)
        assert report.embedded == len(SAMPLES) and notes[-1] == "no reader"


def _fails() -> None:
    raise ModelError("no reader")


SLOW_RUN = """
import sys, time
from clipsight import Library
from clipsight.core.text import TextLine
from clipsight.indexing.reading import read_texts

class SlowReader:
    def read(self, image):
        print("reading", flush=True)
        time.sleep(0.2)
        return (TextLine("word", 0.9, 0.0, 0.0, 1.0, 1.0),)

with Library(sys.argv[1]) as library:
    read_texts(
        sys.argv[2].encode(), library._connection.catalog, SlowReader,
        max_pixels=10**8, threads=1, progress=lambda done, total: None,
    )
"""


@pytest.mark.process
def test_a_killed_run_keeps_what_was_read_and_goes_on(library: Library, photos: Path) -> None:
    library.index(photos)
    command = [sys.executable, "-c", SLOW_RUN, str(library.path), str(photos)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline() == "reading\n"
        process.send_signal(signal.SIGKILL)
    catalog = library._connection.catalog
    read = count_texts(catalog.database, [bytes(photos)]).read
    assert read in (2, 3)
    reader = SizeReader()
    assert run(photos, catalog, reader).read == len(SAMPLES) - read
    assert len(library.search("word", 20, text_only=True)) == read


@pytest.mark.slow
def test_words_that_a_picture_shows_are_read(tmp_path: Path, tiny_model: Path) -> None:
    pytest.importorskip("rapidocr")
    folder = tmp_path / "drawn"
    folder.mkdir()
    for name, words in (("sign", "NO PARKING"), ("keys", "AKAI MPK"), ("blank", "")):
        picture = Image.new("RGB", (400, 160), "white")
        ImageDraw.Draw(picture).text((30, 40), words, "black", ImageFont.load_default(54))
        picture.save(folder / f"{name}.png")
    with Library(tmp_path / "library", tiny_model) as library:
        (report,) = library.index(folder, text=True)
        assert (report.read, report.with_text, report.unread) == (3, 2, 0)
        (found,) = library.search('text:"no parking"', text_only=True)
        assert found.path.name == "sign.png" and found.text == ("NO PARKING",)
        assert [match.path.name for match in library.search("akai mpk", text_only=True)] == ["keys.png"]
        explained = library.explain('text:"no parking"', folder / "sign.png", region=False)
        (line,) = explained.text
        assert line.left < 0.15 and line.right > 0.5 and 0 < line.top < line.bottom < 1

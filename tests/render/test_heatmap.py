"""Heat maps: the right cells, the right colours, self-contained files that appear whole or not at all."""

import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipsight.classification.predictions import Prediction
from clipsight.classification.prompts import TemplateSet
from clipsight.classification.zero_shot import Classification, Classifier
from clipsight.core.errors import LibraryError
from clipsight.render import heatmap
from clipsight.render.colors import heat_colour
from clipsight.render.heatmap import (
    MAX_COLUMNS,
    Cell,
    Grid,
    print_table,
    write_html,
    write_png,
)
from clipsight.render.predictions import PredictionTally
from clipsight.search.results import Embeddings
from tests.render.test_predictions import classification
from tests.support.samples import SAMPLES

LABELS = ("a cat", "<b>coffee & \udce9</b>", "a red flower")


def tally_of(
    paths: list[Path], probabilities: list[list[float]], labels: tuple[str, ...] = LABELS
) -> PredictionTally:
    """A classification of these photos with exactly these probabilities (a logit scale of 1)."""
    vectors = np.log(np.array(probabilities, np.float32))
    classifier = Classifier(labels, np.eye(len(labels), dtype=np.float32), 1.0)
    chunk = classifier.predict(Embeddings(np.zeros(len(paths), np.int64), tuple(paths), vectors))
    tally = PredictionTally(
        Classification("tiny", classifier, TemplateSet("plain", ("{}",)), iter([chunk])), keep=200
    )
    assert list(tally)
    return tally


def test_cells_of_a_matrix_and_ranked() -> None:
    prediction = Prediction(Path("x"), 1, ("a", "b", "c"), np.array([0.2, 0.5, 0.3], np.float32))
    assert Grid.of(("a", "b", "c"), None).cells(prediction) == [
        Cell("a", float(np.float32(0.2)), False),
        Cell("b", 0.5, True),
        Cell("c", float(np.float32(0.3)), False),
    ]
    ranked = Grid.of(("a", "b", "c"), 2)
    assert ranked.header == ("1", "2")
    assert [(cell.label, cell.best) for cell in ranked.cells(prediction)] == [("b", True), ("c", False)]


def test_the_choice_of_columns() -> None:
    few, many = tuple("abcdefghijkl"), tuple(map(str, range(1000)))
    assert Grid.of(few, None) == Grid.of(few, 12) == Grid.of(few, 99) == Grid(few, 0)
    assert Grid.of(few, 3).ranked == 3 and Grid.of(few, None, matrix=11, ranked=4).ranked == 4
    assert Grid.of(many, None).ranked == 5 and Grid.of(many, 7).ranked == 7
    assert Grid.of(many, 1000).ranked == Grid.of(many, 500).ranked == MAX_COLUMNS


def test_table_marks_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(tally_of([Path("/p/x\n.jpg")], [[0.25, 0.7, 0.05]]), None)
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split()[-1] == "photo" and "coffee & \\xe9" in heading
    assert row.split() == ["0.25", "0.70*", "0.05", "/p/x\\n.jpg"]


def test_table_shows_the_first_and_counts_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    tally = PredictionTally(classification(("a", "b"), 70), keep=200)
    for _ in tally:
        pass
    print_table(tally, None)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "/p/" in line]) == heatmap.TABLE_ROWS
    counts = dict(line.split() for line in lines[-2:])
    assert {int(count): label for count, label in counts.items()} == {
        count: label for label, count in tally.photos_of.items()
    }


class Page(HTMLParser):
    """What a browser would find: texts of cells, sources of pictures, addresses of anything else."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.sources: list[str] = []
        self.best: list[int] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
            if dict(attrs).get("class") == "best":
                self.best.append(len(self.cells) - 1)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data.strip()


def test_html_is_one_file_with_escaped_texts(tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("<script>")
    photos = [SAMPLES["cat.png"], tmp_path / "letter.jpg"]
    write_html(tally_of(photos, [[0.25, 0.7, 0.05], [0.9, 0.05, 0.05]]), tmp_path / "map.html", None)
    text = (tmp_path / "map.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "<b>" not in text and "script" not in page.tags and "url(" not in text
    assert page.cells[2:5] == ["a cat", "<b>coffee & \\xe9</b>", "a red flower"]
    assert page.cells[7:10] == ["0.250", "0.700", "0.050"] and page.cells[6].endswith("chelsea.png")
    assert [page.cells[at] for at in page.best] == ["0.700", "0.900"]
    (source,) = page.sources
    assert source.startswith("data:image/jpeg;base64,")
    assert "model tiny, softmax of 1 x cosine, templates plain: 2 photos" in text


def test_png_shows_the_cells(tmp_path: Path) -> None:
    tally = tally_of([SAMPLES["cat.png"], SAMPLES["coffee.png"]], [[1, 1e-9, 1e-9], [1e-9, 1e-9, 1]])
    write_png(tally, tmp_path / "map.png", None)
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.format == "PNG" and picture.mode == "RGB"
        pixels = np.asarray(picture)
    for probability, cells in ((1.0, 2), (0.0, 4)):
        of_colour = (pixels == np.array(heat_colour(probability))).all(axis=2)
        assert 0.8 * cells < of_colour.sum() / (96 * 84) <= cells
    frames = (pixels == 0xF2).all(axis=2)  # three pixels round each best cell
    assert frames.sum() > 2 * 3 * (2 * 96 + 2 * 80)


@pytest.mark.slow
@pytest.mark.parametrize(("labels", "top"), [(2, None), (12, 1), (13, None), (40, 1000)])
def test_pictures_of_any_shape_have_bounded_size(tmp_path: Path, labels: int, top: int | None) -> None:
    names = tuple(f"{'long ' * number}label {number}" for number in range(labels))
    tally = PredictionTally(classification(names, 300), keep=200)
    for _ in tally:
        pass
    write_png(tally, tmp_path / "map.png", top)
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.width * picture.height < 64_000_000
    write_html(tally, tmp_path / "map.html", top)
    text = (tmp_path / "map.html").read_text()
    assert text.count("<tr>") == 201 and "the first 200 of 300 photos" in text


def test_files_appear_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tally = tally_of([SAMPLES["cat.png"]], [[0.25, 0.7, 0.05]])
    (tmp_path / "map.html").write_text("before")
    (tmp_path / "map.png").write_text("before")
    monkeypatch.setattr(heatmap, "_thumbnails", lambda rows: iter([io.UnsupportedOperation("nothing")]))
    for write, name in ((write_html, "map.html"), (write_png, "map.png")):
        with pytest.raises(Exception, match=r"UnsupportedOperation|nothing|save"):
            write(tally, tmp_path / name, None)
        assert (tmp_path / name).read_text() == "before"
        with pytest.raises(LibraryError, match=r"can't write .*no/map"):
            write(tally, tmp_path / "no" / name, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.html", "map.png"]

"""Tables of photos in notebooks: self-contained, escaped, of bounded size."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from clipsight import Library, Match, Matches
from clipsight.indexing.media.picture import Picture
from clipsight.search.notebook import SHOWN, Row, table
from tests.support.samples import SAMPLES

EVIL = "<script>alert(1)</script>\"'&\x1b[31m.png"


class Parsed(HTMLParser):
    """The tags, addresses and texts of a page; fails for a tag that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.titles: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open += [tag] if tag != "img" else []
        found = dict(attributes)
        self.addresses += [found[name] or "" for name in ("src", "href") if name in found]
        self.titles += [found["title"] or ""] if "title" in found else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def matches(*paths: Path, query: str = "a cat") -> Matches:
    found = (Match(path, 0.5, 1, None, None, "2024-05-01T12:00:00", "exif", 1, True) for path in paths)
    return Matches(query, "builtin", tuple(found))


def test_matches_are_thumbnails_with_scores(tmp_path: Path) -> None:
    page = Parsed(matches(SAMPLES["cat.png"], tmp_path / "gone.jpg")._repr_html_())
    assert len(page.addresses) == 1 and page.addresses[0].startswith("data:image/jpeg;base64,")
    assert {"chelsea.png", "gone.jpg", "0.500", "2024-05-01T12:00:00"} <= set(page.texts)
    assert "can't be read: No such file or directory" in page.texts
    assert str(tmp_path / "gone.jpg") in page.titles


def test_everything_is_escaped(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    evil = tmp_path / EVIL.replace("/", "-")
    (tmp_path / "a.png").rename(evil)
    text = matches(evil, Path(f"/no\udcff/{EVIL}"), query=EVIL)._repr_html_()
    page = Parsed(text)
    assert set(page.tags) <= {"div", "p", "table", "tr", "th", "td", "img", "small"}
    assert "\x1b" not in text and "\udcff" not in text
    assert len(page.titles) == 2 and all("\\x1b" in title for title in page.titles)


@pytest.mark.slow
def test_the_size_is_bounded() -> None:
    found = matches(*[SAMPLES["galaxies.jpg"]] * (SHOWN + 5), query="x" * 5000)
    text = found._repr_html_()
    assert text.count("<img") == SHOWN and "and 5 more" in text
    assert len(text) < 300_000 and "x" * 400 not in text
    assert "more" not in matches(SAMPLES["cat.png"])._repr_html_()
    assert "and more" in table("", (), [], more=True)


def test_photos_in_memory_are_shown() -> None:
    row = Row(Picture.of(Image.new("RGB", (9, 9), "red"), "photo 1"), ("a", "b"))
    page = Parsed(table("caption", ("one", "two"), [row], more=0))
    assert page.texts == ["caption", "photo", "one", "two", "photo 1", "a", "b"]
    assert len(page.addresses) == 1


def test_no_match_is_a_table_without_rows() -> None:
    assert Parsed(matches()._repr_html_()).tags.count("tr") == 1


@pytest.mark.slow
def test_showing_a_classification_does_not_consume_it(library: Library, photos: Path) -> None:
    library.index(photos)
    image = Image.open(photos / "cat.png").crop((0, 0, 90, 60))
    result = library.classify(["cat", "rocket"], photos, image, photos / "no.jpg")
    for _ in range(2):
        page = Parsed(result._repr_html_())
        assert page.tags.count("img") == len(library) + 1
        assert {"photo", "cat", "rocket", "photo 2"} <= set(page.texts)
        assert any(re.fullmatch(r"[01]\.\d{3}", text) for text in page.texts)
    assert len(list(result)) == len(library) + 1
    assert Parsed(result._repr_html_()).tags.count("img") == len(library) + 1  # remembered
    many = library.classify([f"label {number}" for number in range(9)], photos)
    assert "best labels" in Parsed(many._repr_html_()).texts


@pytest.mark.parametrize("count", [SHOWN - 1, SHOWN, SHOWN + 1, 3 * SHOWN])
def test_only_the_first_photos_are_classified_to_be_shown(library: Library, count: int) -> None:
    images = [Image.new("RGB", (9, 9), (number, 0, 0)) for number in range(count)]
    result = library.classify(["cat", "rocket"], images)
    page = result._repr_html_()
    assert page.count("<img") == min(count, SHOWN)
    assert ("and more" in page) == (count > SHOWN)
    assert [each.path.name for each in result] == [f"photo {n}" for n in range(1, count + 1)]

"""The page in a real browser, with the builtin model and real photos."""

import base64
import csv
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the page needs clipsight[web]")
pytest.importorskip("playwright", reason="driving the page needs playwright")

from playwright.sync_api import expect

from clipsight import Library
from clipsight.models.encoder import Cancelled
from clipsight.web.page import search
from clipsight.web.service.query_parts import TextPart, parse_query
from clipsight.web.service.service import Service
from tests.support.browser import chromium, keep, needs_browser, page_of, serving
from tests.support.samples import SAMPLES, copy_samples

pytestmark = [pytest.mark.browser, needs_browser]

LABELS = ["astronaut", "cat", "coffee", "flower", "galaxies", "motorcycle", "rocket", "temple"]
HOSTILE = "<img src=x onerror=alert(1)>.jpg"
PAGE_SIZE = 5


@pytest.fixture(scope="module")
def settings() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(search, "PAGE_SIZE", PAGE_SIZE)
        yield patch


@pytest.fixture(scope="module")
def browser(settings: pytest.MonkeyPatch) -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_samples(tmp_path_factory.mktemp("pictures") / "photos")
    # With another end than the sample, of which it would be a copy, left out of what is found.
    (folder / HOSTILE).write_bytes(SAMPLES["galaxies.jpg"].read_bytes() + b"\n")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no photo")
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, settings: pytest.MonkeyPatch, pictures: Path) -> Path:
    place = tmp_path_factory.mktemp("library")
    settings.setenv("CLIPSIGHT_HOME", str(place))
    with Library.open(place, model="builtin") as library:
        library.index(pictures)
        list(library.classify(LABELS, keep=True).chunks)
    return place


@pytest.fixture(scope="module")
def address(library: Path, pictures: Path) -> Iterator[str]:
    with serving(library, pictures.parent) as url:
        yield url


def box(page: Any) -> Any:
    return page.get_by_role("searchbox", name="Search your photos")


def tiles(page: Any) -> Any:
    return page.locator(".cs-gallery button")


def look_for(page: Any, text: str) -> None:
    expect(tiles(page).first).to_be_visible()
    box(page).fill(text)


def first_is(page: Any, name: str) -> None:
    expect(tiles(page).first).to_have_attribute("title", name)


def fits(page: Any) -> bool:
    """Whether nothing is cut off at the right, and the page can't be moved sideways."""
    cut = """[...document.querySelectorAll('.gradio-container *, dialog[open] *')]
      .filter(each => each.checkVisibility() && !each.closest('.cs-scroll, .sr-only, svg'))
      .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
      .map(each => each.outerHTML.slice(0, 120))"""
    assert page.evaluate(cut) == []
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_below_a_path_prefix_nothing_is_loaded_from_outside_it(browser: Any, library: Path) -> None:
    with serving(library, root_path="/photos") as url, page_of(browser, url) as page:
        expect(page).to_have_url(f"{url}/en/")
        look_for(page, "a rocket")
        first_is(page, "rocket.jpg")
        image = tiles(page).first.locator("img")
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0
        tiles(page).first.click()
        file = page.get_by_role("link", name="Full size").evaluate("link => link.href")
        assert file.startswith(f"{url}/api/v1/photos/") and page.request.get(file).ok
        page.keyboard.press("Escape")
        page.get_by_role("link", name="繁體中文").click()
        expect(page).to_have_url(re.compile(re.escape(f"{url}/zh-Hant/")))
        expect(tiles(page).first).to_be_visible()


def test_first_run(browser: Any, tmp_path: Path, settings: pytest.MonkeyPatch, pictures: Path) -> None:
    with serving(tmp_path / "new", pictures.parent) as url, page_of(browser, url) as page:
        expect(page.get_by_role("heading", name="Which photos should clipsight index?")).to_be_visible()
        expect(box(page)).not_to_be_visible()
        keep(page, "first-run")
        page.get_by_role("button", name="photos").click()
        page.get_by_role("button", name="Index photos").click()
        expect(page.get_by_text("Ready: 9 photos can be searched.")).to_be_visible()
        expect(tiles(page).first).to_be_visible()
        look_for(page, "a cat")
        first_is(page, "cat.png")
        keep(page, "first-run-done")


def test_search_by_words(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        look_for(page, "a cat")
        first_is(page, "cat.png")
        image = tiles(page).first.locator("img")
        assert re.fullmatch(r"cat\.png, score 0\.\d{3}", image.get_attribute("alt"))
        expect(page.locator(".cs-rows")).to_be_hidden()
        keep(page, "search")
        page.reload()
        expect(box(page)).to_have_value("a cat")
        first_is(page, "cat.png")
        box(page).fill("flower + + bee")
        expect(page.get_by_role("alert").filter(has_text="empty")).to_be_visible()


def test_more_photos_come_at_the_end_of_the_page(browser: Any, address: str) -> None:
    with page_of(browser, address, viewport={"width": 1280, "height": 300}) as page:
        look_for(page, "a cat")
        first_is(page, "cat.png")
        expect(tiles(page)).to_have_count(9)
        names = page.evaluate("[...document.querySelectorAll('.cs-gallery button')].map(each => each.title)")
        assert sorted(names) == sorted([*SAMPLES, HOSTILE])


def test_weights(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        look_for(page, "a cat + 9:a rocket")
        first_is(page, "rocket.jpg")
        expect(page.get_by_label("Parts of the query").get_by_role("listitem")).to_have_count(2)
        slider = page.get_by_label("Weight of a rocket")
        expect(slider).to_have_value("9")
        slider.focus()
        page.keyboard.press("Home")
        expect(box(page)).to_have_value("a cat + 0.1:a rocket")
        first_is(page, "cat.png")
        keep(page, "weights")
        page.get_by_role("button", name="a cat is added; press to subtract it").click()
        expect(box(page)).to_have_value("- a cat + 0.1:a rocket")
        expect(page.get_by_role("button", name="a cat is subtracted")).to_be_visible()
        page.get_by_role("button", name="Remove a rocket").click()
        expect(box(page)).to_have_value("- a cat")
        expect(page.get_by_label("Parts of the query").get_by_role("listitem")).to_have_count(1)


@pytest.mark.parametrize(
    "words",
    [
        [],
        [TextPart("a cat")],
        [TextPart("a cat", -1)],
        [TextPart("flower", -1), TextPart("bee", 2.5), TextPart("cartoon", -0.1)],
        [TextPart("1:30 in the night"), TextPart("a: b", -3), TextPart("x-ray+photo")],
    ],
)
def test_query_parts_survive_editing_as_text(browser: Any, address: str, words: list[TextPart]) -> None:
    with page_of(browser, address) as page:
        expect(tiles(page).first).to_be_visible()
        rows = [{"kind": "text", "text": each.text, "weight": each.weight} for each in words]
        text = page.evaluate("rows => clipsight.formatQuery(rows)", rows)
    assert (list(parse_query(text)) if text else []) == words


def test_a_picture_dropped_while_typing_loses_no_word(browser: Any, address: str, pictures: Path) -> None:
    with page_of(browser, address) as page:
        look_for(page, "a rocket")
        drop(page, pictures / "flower.jpg")
        expect(page.get_by_label("Parts of the query").get_by_role("listitem")).to_have_count(2)
        expect(box(page)).to_have_value("a rocket")


def drop(page: Any, file: Path) -> None:
    """Drop a file into the page, as a person's mouse does."""
    data = base64.b64encode(file.read_bytes()).decode()
    page.evaluate(
        """([data, name]) => {
          const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], name, {type: "image/jpeg"}));
          for (const kind of ["dragover", "drop"])
            document.body.dispatchEvent(
              new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }""",
        [data, file.name],
    )


def test_drop_a_picture_and_add_words(browser: Any, address: str, pictures: Path) -> None:
    with page_of(browser, address) as page:
        expect(tiles(page).first).to_be_visible()
        drop(page, pictures / "flower.jpg")
        first_is(page, "flower.jpg")
        assert float(page.locator(".cs-score").first.inner_text()) > 0.95
        expect(page.locator(".cs-rows img")).to_be_visible()
        look_for(page, "a rocket")
        expect(page.get_by_label("Weight of a rocket")).to_be_visible()
        keep(page, "picture")
        page.get_by_role("button", name="Remove flower.jpg").click()
        expect(page.locator(".cs-rows")).to_be_hidden()
        first_is(page, "rocket.jpg")


def test_a_dropped_file_that_is_no_picture_is_reported(browser: Any, address: str, tmp_path: Path) -> None:
    with page_of(browser, address) as page:
        expect(tiles(page).first).to_be_visible()
        text = tmp_path / "text.jpg"
        text.write_text("no picture")
        drop(page, text)
        expect(page.get_by_role("alert").filter(has_text="text.jpg")).to_be_visible()


def test_filters(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        look_for(page, "a rocket")
        first_is(page, "rocket.jpg")
        page.get_by_role("button", name="Filters").click()
        page.get_by_label("Labels").click()
        page.get_by_role("option", name="cat (1)").click()
        expect(tiles(page)).to_have_count(1)
        first_is(page, "cat.png")
        keep(page, "filters")
        page.get_by_label("Taken to").fill("1990")
        expect(page.get_by_role("status").filter(has_text="No photo found")).to_be_visible()


def test_one_photo_by_keyboard(browser: Any, address: str, pictures: Path) -> None:
    with page_of(browser, address) as page:
        look_for(page, "a cat")
        first_is(page, "cat.png")
        second = tiles(page).nth(1).get_attribute("title")
        tiles(page).first.focus()
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.title") == second
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="cat.png")
        expect(dialog.get_by_text("451 × 300")).to_be_visible()
        expect(dialog.locator("code")).to_have_text(str(pictures / "cat.png"))
        dialog.get_by_role("button", name="Copy").click()
        expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == str(pictures / "cat.png")
        expect(dialog.locator("img").first).to_have_js_property("complete", True)
        keep(page, "photo")
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("dialog", name=second)).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(tiles(page).nth(1)).to_be_focused()
        page.keyboard.press("/")
        expect(box(page)).to_be_focused()


def test_more_like_this(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        look_for(page, "a cat")
        first_is(page, "cat.png")
        tiles(page).first.click()
        page.get_by_role("button", name="More like this").click()
        expect(page.get_by_label("Weight of cat.png")).to_be_visible()
        expect(box(page)).to_have_value("")
        expect(page.locator('.cs-gallery [title="cat.png"]')).to_have_count(0)
        expect(tiles(page).first).to_be_visible()


def test_explain(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        look_for(page, "a cat on a sofa")
        first_is(page, "cat.png")
        tiles(page).first.click()
        page.get_by_role("button", name="Explain").click()
        words = page.get_by_label("Words").get_by_role("listitem")
        expect(words).to_have_count(5)
        assert words.nth(1).inner_text().startswith("cat\n+0.")
        heat = page.locator(".cs-heat")
        expect(heat).to_be_visible()
        keep(page, "explain")
        page.get_by_label("Heat map").uncheck()
        expect(heat).to_be_hidden()


def test_closing_a_photo_cancels_its_explanation(
    browser: Any, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def explain(*_: object, stop: threading.Event) -> None:
        begun.set()
        if stop.wait(60):
            ended.set()
        raise Cancelled

    monkeypatch.setattr(Service, "explain", explain)
    with page_of(browser, address) as page:
        look_for(page, "a cat")
        first_is(page, "cat.png")
        tiles(page).first.click()
        page.get_by_role("button", name="Explain").click()
        assert begun.wait(60)
        page.keyboard.press("Escape")
        assert ended.wait(60)


def test_classify(browser: Any, address: str, pictures: Path, tmp_path: Path) -> None:
    with page_of(browser, address) as page:
        look_for(page, "a cat")
        first_is(page, "cat.png")
        tiles(page).first.click()
        page.get_by_role("button", name="Add to Classify").click()
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Classify").click()
        page.get_by_role("button", name="Classify", exact=True).click()
        expect(page.get_by_text("Add at least two labels.")).to_be_visible()
        drop(page, pictures / "rocket.jpg")
        labels = page.get_by_label("Labels to choose from")
        labels.fill("a rocket, a cat, wrong,")
        labels.press("Backspace")
        labels.press_sequentially("a flower")
        labels.press("Enter")
        expect(page.locator(".cs-chips li")).to_have_text(["a rocket", "a cat", "a flower"])
        page.get_by_role("button", name="Classify", exact=True).click()
        table = page.get_by_role("table")
        expect(table.get_by_role("row")).to_have_count(3)
        expect(table.get_by_role("columnheader")).to_have_text(["Photo", "a rocket", "a cat", "a flower"])
        best = {
            row.get_by_role("rowheader").inner_text(): row.locator(".cs-best").inner_text()
            for row in table.get_by_role("row").all()[1:]
        }
        assert {name: float(value) > 0.5 for name, value in best.items()} == {
            "cat.png": True,
            "rocket.jpg": True,
        }
        keep(page, "classify", full_page=True)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download CSV").click()
        download.value.save_as(tmp_path / "saved.csv")
        saved = (tmp_path / "saved.csv").read_text(encoding="utf-8-sig")
        assert {row["label"] for row in csv.DictReader(saved.splitlines())} == {"a cat", "a rocket"}


def test_library(browser: Any, address: str, pictures: Path) -> None:
    with page_of(browser, address) as page:
        page.get_by_role("tab", name="Library").click()
        expect(page.get_by_text("9 photos, ")).to_be_visible()
        expect(page.locator(".cs-folders code")).to_have_text(str(pictures))
        page.get_by_text("Files that could not be read (1)").click()
        expect(page.locator(".cs-failures code")).to_have_text(str(pictures / "broken.jpg"))
        keep(page, "library", full_page=True)
        page.get_by_role("button", name="Update: photos").click()
        expect(page.get_by_text("Ready: 9 photos can be searched.")).to_be_visible()


def test_names_of_files_are_never_html(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        look_for(page, "galaxies and stars in deep space")
        expect(page.get_by_role("status").filter(has_text="Best matches first")).to_be_visible()
        tile = page.locator(".cs-gallery button").and_(page.get_by_title(HOSTILE, exact=True))
        tile.click()
        expect(page.get_by_role("dialog", name=HOSTILE)).to_be_visible()
        page.get_by_role("button", name="Add to Classify").click()
        page.get_by_role("button", name="More like this").click()
        expect(page.locator(".cs-part")).to_have_text(HOSTILE)


def test_a_photo_whose_file_was_deleted(browser: Any, tmp_path: Path) -> None:
    folder = copy_samples(tmp_path / "photos")
    with Library.open(tmp_path / "library", model="builtin") as library:
        library.index(folder)
    (folder / "cat.png").unlink()
    # The browser complains of the thumbnail that was not found, and of nothing else.
    complains = pytest.raises(AssertionError, match="404")
    with serving(tmp_path / "library") as url, complains, page_of(browser, url) as page:
        look_for(page, "a cat")
        expect(tiles(page).first).to_have_text(re.compile("cat.png"))
        tiles(page).first.click()
        expect(page.get_by_text("The photo can't be shown")).to_be_visible()


def test_phone(browser: Any, address: str) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    with page_of(browser, address, **phone) as page:
        look_for(page, "a cat + 2:a very long description of some photo with many words - a rocket")
        expect(page.get_by_label("Parts of the query").get_by_role("listitem")).to_have_count(3)
        assert fits(page)
        keep(page, "phone")
        tiles(page).first.tap()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert fits(page)
        keep(page, "phone-photo")
        page.get_by_role("button", name="Close").tap()
        for tab in ("Classify", "Library"):
            page.get_by_role("tab", name=tab).tap()
            assert fits(page)
            keep(page, f"phone-{tab.lower()}")
        page.get_by_role("tab", name="Classify").tap()
        templates = page.get_by_label("Prompt templates").bounding_box()
        unknown = page.get_by_label("Allow").bounding_box()
        assert unknown["y"] > templates["y"] + templates["height"], "options side by side"


def test_dark_mode(browser: Any, address: str) -> None:
    def brightness(page: Any) -> float:
        expect(tiles(page).first).to_be_visible()
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return max(float(number) for number in re.findall(r"[\d.]+", colour)[:3])

    with page_of(browser, address, color_scheme="dark") as page:
        look_for(page, "a cat + 2:a rocket")
        assert brightness(page) < 60
        keep(page, "dark")
    with page_of(browser, address, color_scheme="light") as page:
        assert brightness(page) > 200


@pytest.mark.parametrize(
    ("locale", "language", "tab"),
    [("en-GB", "en", "Search"), ("zh-TW", "zh-Hant", "搜尋"), ("zh-CN", "zh-Hans", "搜索")],
)
def test_the_browsers_language(browser: Any, address: str, locale: str, language: str, tab: str) -> None:
    with page_of(browser, address, locale=locale) as page:
        expect(page.get_by_role("tab", name=tab)).to_be_visible()
        expect(tiles(page).first).to_be_visible()
        assert page.evaluate("document.documentElement.lang") == language
        keep(page, f"language-{language}")
        assert page.get_by_role("link", name="English").get_attribute("href") == "../en/"


def test_everything_has_a_name_for_screen_readers(browser: Any, address: str) -> None:
    nameless = """[...document.querySelectorAll('button, input, img, select, textarea, a')]
      .filter(each => each.checkVisibility() && !each.closest('[aria-hidden=true]'))
      .filter(each => !(each.getAttribute('aria-label') || each.innerText?.trim() || each.hasAttribute('alt')
        || each.labels?.length || each.querySelector('img[alt]:not([alt=""])')))
      .map(each => each.outerHTML.slice(0, 200))"""
    with page_of(browser, address) as page:
        look_for(page, "a cat + a rocket")
        expect(page.get_by_label("Weight of a cat")).to_be_visible()
        page.get_by_role("button", name="Filters").click()
        assert page.evaluate(nameless) == []
        tiles(page).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert page.evaluate(nameless) == []
        page.keyboard.press("Escape")
        for tab in ("Classify", "Library"):
            page.get_by_role("tab", name=tab).click()
            assert page.evaluate(nameless) == []

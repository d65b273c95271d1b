"""The page in a real browser, with the builtin model and real photos."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the page needs clipsight[web]")
pytest.importorskip("playwright", reason="driving the page needs playwright")

from playwright.sync_api import expect

from clipsight import Library
from tests.support.browser import chromium, keep, needs_browser, page_of, problems_of, serving
from tests.support.samples import SAMPLES, copy_samples

pytestmark = [pytest.mark.browser, needs_browser]

LABELS = ["astronaut", "cat", "coffee", "flower", "galaxies", "motorcycle", "rocket", "temple"]
HOSTILE = "<img src=x onerror=alert(1)>.jpg"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
NARROW = {"viewport": {"width": 320, "height": 640}}


@pytest.fixture(scope="module")
def settings() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
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
    return page.get_by_role("searchbox")


def cells(page: Any) -> Any:
    return page.locator(".cell")


def look_for(page: Any, text: str) -> None:
    expect(cells(page).first).to_be_visible()
    box(page).fill(text)


def first_is(page: Any, name: str) -> None:
    expect(cells(page).first).to_have_attribute("title", name)


def fits(page: Any) -> bool:
    """True if the page can't be moved sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def small_targets(page: Any) -> list[str]:
    """What is hard to hit with a finger: controls lower than 44 pixels, but boxes within their label."""
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll("button, a, select, input, summary")].filter((each) => {
          const { width, height } = each.getBoundingClientRect();
          return width > 1 && height > 1 && height < 43.5 && !each.closest(".check");
        }).map((each) => each.outerHTML.slice(0, 100))"""
    )
    return found


def test_search_by_words(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        expect(cells(page)).to_have_count(9)
        expect(page.get_by_role("status").filter(has_text="9 photos, newest first")).to_be_visible()
        look_for(page, "a cat")
        first_is(page, "cat.png")
        expect(cells(page).first).to_have_attribute("aria-label", re.compile(r"cat\.png, score 0\.\d{3}"))
        expect(page.get_by_role("status").filter(has_text="9 photos, best first")).to_be_visible()
        expect(page).to_have_title("a cat – clipsight")
        assert problems_of(page) == []
        keep(page, "search")
        page.reload()
        expect(box(page)).to_have_value("a cat")
        first_is(page, "cat.png")


def test_a_half_typed_operator_waits_in_silence(browser: Any, address: str) -> None:
    with page_of(browser, address, "?q=a+cat") as page:
        first_is(page, "cat.png")
        for typed in ("a cat +", "a cat + 2:", "a cat - "):
            box(page).fill(typed)
            page.wait_for_timeout(150)
            first_is(page, "cat.png")
            expect(page.get_by_role("alert")).to_have_count(0)


def test_parts_of_the_query_are_chips(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        look_for(page, "a rocket + 2:a cat")
        first_is(page, "cat.png")
        page.get_by_role("button", name="a cat is added; press to subtract it").click()
        expect(box(page)).to_have_value("a rocket - 2:a cat")
        weight = page.get_by_role("spinbutton", name="Weight of a cat")
        weight.fill("0.5")
        weight.press("Enter")
        expect(box(page)).to_have_value("a rocket - 0.5:a cat")
        keep(page, "chips")
        page.get_by_role("button", name="Remove a cat").click()
        expect(box(page)).to_have_value("a rocket")


def test_back_closes_the_photo_and_then_the_search(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        look_for(page, "a cat")
        first_is(page, "cat.png")
        cells(page).first.click()
        dialog = page.get_by_role("dialog", name="cat.png")
        expect(dialog).to_be_visible()
        assert "open=" in page.url
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("dialog", name="cat.png")).to_have_count(0)
        page.reload()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(box(page)).to_have_value("a cat")
        page.go_back()
        expect(box(page)).to_have_value("")


def test_a_photo_is_explained_and_explanations_stay_while_stepping(browser: Any, address: str) -> None:
    with page_of(browser, address, "?q=a+cat+%2B+a+rocket") as page:
        expect(cells(page).first).to_be_visible()
        cells(page).first.click()
        page.get_by_role("button", name="Explain").click()
        expect(page.locator(".bars li").first).to_contain_text(re.compile("(raises|lowers) the score by 0"))
        expect(page.locator("canvas.heat")).to_be_visible()
        assert problems_of(page) == []
        keep(page, "explanation")
        page.keyboard.press("ArrowRight")
        expect(page.locator(".bars li").first).to_be_visible()
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".bars li").first).to_be_visible()
        assert not [url for url in requests if "explain" in url]
        page.get_by_role("button", name="More like this").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert re.search(r"\?photo=\d+$", page.url)


def test_a_search_by_a_picture_is_a_link(browser: Any, address: str, tmp_path: Path) -> None:
    broken = tmp_path / "holiday.jpg"
    broken.write_bytes(b"no picture")
    with page_of(browser, address, failing=True) as page:
        expect(cells(page).first).to_be_visible()
        page.locator(".box input[type=file]").set_input_files([broken, SAMPLES["rocket.jpg"]])
        first_is(page, "rocket.jpg")
        row = page.get_by_role("alert").filter(has_text="holiday.jpg")
        expect(row).to_contain_text("can't be read as a picture")
        keep(page, "picture")
        look = page.url
        row.get_by_role("button", name="Remove holiday.jpg").click()
        expect(row).to_have_count(0)
        page.goto(look)
        first_is(page, "rocket.jpg")
        page.get_by_role("button", name="Remove a picture").click()
        expect(page).to_have_url(f"{address}/")


def test_what_an_address_says_too_much_is_left_out(browser: Any, address: str) -> None:
    with page_of(browser, address, f"?q={'cat+' * 3000}&taken_from=2024-13-45") as page:
        expect(cells(page)).to_have_count(9)
        expect(page.get_by_text("left out: q=cat cat")).to_be_visible()
        expect(page.get_by_text("taken_from=2024-13-45")).to_be_visible()


def test_filters_are_in_the_address_and_can_be_removed(browser: Any, address: str) -> None:
    with page_of(browser, address, "?label=cat&min_width=10&nonsense=1") as page:
        expect(cells(page)).to_have_count(1)
        expect(page.get_by_text("left out: nonsense=1")).to_be_visible()
        page.get_by_role("button", name="Format").click()
        page.get_by_role("checkbox", name="PNG").check()
        expect(page).to_have_url(re.compile("format=PNG"))
        keep(page, "filters")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Remove cat").click()
        expect(page).not_to_have_url(re.compile("label"))
        page.get_by_role("button", name="Reset filters").click()
        expect(cells(page)).to_have_count(9)


def test_photos_are_reached_and_selected_by_keys(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        expect(cells(page)).to_have_count(9)
        page.keyboard.press("/")
        expect(box(page)).to_be_focused()
        cells(page).first.focus()
        page.keyboard.press("ArrowRight")
        expect(cells(page).nth(1)).to_be_focused()
        page.keyboard.press("End")
        expect(cells(page).nth(8)).to_be_focused()
        page.keyboard.press("Home")
        cells(page).first.click(modifiers=["Control"])
        cells(page).nth(2).click(modifiers=["Shift"])
        expect(page.get_by_text("3 selected")).to_be_visible()
        assert problems_of(page) == []
        keep(page, "selection")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download as zip").click()
        assert download.value.suggested_filename == "photos.zip"
        page.get_by_role("button", name="Photos like these").click()
        expect(page.locator(".part")).to_have_count(3)


def test_classification(browser: Any, address: str) -> None:
    with page_of(browser, address, "classify") as page:
        page.locator("input[type=file]").set_input_files([SAMPLES["cat.png"], SAMPLES["rocket.jpg"]])
        expect(page.locator(".tray li")).to_have_count(2)
        page.get_by_label("Labels to choose from").fill("a cat, a rocket,")
        expect(page).to_have_url(re.compile("choice=a\\+cat&choice=a\\+rocket"))
        page.get_by_role("button", name="Classify", exact=True).click()
        row = page.get_by_role("row").filter(has_text="chelsea.png")
        expect(row.locator("td.best")).to_have_text(re.compile(r"\d+(\.\d)?%"))
        assert problems_of(page) == []
        keep(page, "classify")


def test_drawings_are_ranked(browser: Any, address: str) -> None:
    with page_of(browser, address, "draw") as page:
        canvas = page.get_by_role("img", name="Canvas to draw on").bounding_box()
        page.mouse.move(canvas["x"] + 60, canvas["y"] + 60)
        page.mouse.down()
        page.mouse.move(canvas["x"] + 200, canvas["y"] + 220, steps=5)
        page.mouse.up()
        page.get_by_label("Your name").fill("Ada")
        page.get_by_role("button", name="Done").click()
        expect(page.get_by_role("list", name="Ranking")).to_contain_text("1. Ada")
        assert problems_of(page) == []
        keep(page, "draw")


def test_first_run(browser: Any, tmp_path: Path, settings: pytest.MonkeyPatch, pictures: Path) -> None:
    with serving(tmp_path / "new", pictures.parent) as url, page_of(browser, url) as page:
        expect(page.get_by_role("heading", name="Which photos should clipsight index?")).to_be_visible()
        assert problems_of(page) == []
        keep(page, "first-run")
        page.get_by_role("button", name="photos", exact=True).click()
        page.get_by_role("button", name="Index photos").click()
        expect(page.get_by_text("Ready: 9 photos can be searched.")).to_be_visible()
        expect(cells(page)).to_have_count(9)
        page.get_by_role("link", name="Library").click()
        page.get_by_role("button", name="Forget: photos").click()
        page.get_by_role("dialog").get_by_role("button", name="Forget").click()
        expect(page.get_by_role("button", name="Forget: photos")).to_have_count(0)
    assert len(list(pictures.iterdir())) == 10


def test_the_library(browser: Any, address: str) -> None:
    with page_of(browser, address, "library") as page:
        expect(page.get_by_text("9 photos; the library takes")).to_be_visible()
        expect(page.get_by_role("heading", name="1 file could not be read")).to_be_visible()
        expect(page.get_by_text("in use")).to_be_visible()
        assert problems_of(page) == []
        keep(page, "library")


@pytest.mark.parametrize("view", ["?q=a+cat", "?q=cat&open=1", "classify", "draw", "library"])
@pytest.mark.parametrize("context", [PHONE, NARROW, {"viewport": {"width": 820, "height": 1180}}])
def test_small_screens(browser: Any, address: str, view: str, context: dict[str, Any]) -> None:
    dark = {**context, "color_scheme": "dark", "locale": "zh-TW"}
    with page_of(browser, address, view, **dark) as page:
        expect(page.locator("html")).to_have_attribute("lang", "zh-Hant")
        page.wait_for_load_state("networkidle")
        assert fits(page)
        assert problems_of(page) == []
        if "has_touch" in context:
            assert small_targets(page) == []
        name = re.sub(r"\W+", "-", view).strip("-")
        keep(page, f"{name}-{context['viewport']['width']}-dark-zh")


def test_the_language_is_chosen_and_kept(browser: Any, address: str) -> None:
    with page_of(browser, address, "?q=a+cat") as page:
        first_is(page, "cat.png")
        page.get_by_role("combobox", name="Language").select_option("de")
        expect(page.get_by_role("link", name="Bibliothek")).to_be_visible()
        assert page.url.endswith("lang=de")
        page.goto(address)
        expect(page.locator("html")).to_have_attribute("lang", "de")


def test_below_a_path_prefix_nothing_is_loaded_from_outside_it(browser: Any, library: Path) -> None:
    with serving(library, root_path="/photos") as url, page_of(browser, url, "?q=a+rocket") as page:
        first_is(page, "rocket.jpg")
        image = cells(page).first.locator("img")
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0
        page.get_by_role("link", name="Library").click()
        expect(page).to_have_url(f"{url}/library?q=a+rocket")


def test_a_server_that_is_gone_is_said_and_the_page_goes_on(browser: Any, address: str) -> None:
    with page_of(browser, address, failing=True) as page:
        expect(cells(page)).to_have_count(9)
        page.route("**/api/v1/**", lambda route: route.abort())
        box(page).fill("a cat")
        expect(page.get_by_role("alert")).to_contain_text("Check that clipsight serve is running")
        keep(page, "offline")
        page.unroute("**/api/v1/**")
        page.get_by_role("button", name="Try again").click()
        first_is(page, "cat.png")


def test_a_photo_that_is_gone_is_said(browser: Any, tmp_path: Path, settings: pytest.MonkeyPatch) -> None:
    photos = copy_samples(tmp_path / "photos")
    with Library.open(tmp_path / "library", model="builtin") as library:
        library.index(photos)
    with serving(tmp_path / "library", photos) as url, page_of(browser, url, failing=True) as page:
        shutil.rmtree(photos)
        page.goto(f"{url}/?open=1")
        expect(page.get_by_role("alert")).to_contain_text("moved or deleted")


def test_nothing_is_asked_while_nothing_happens(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        expect(cells(page)).to_have_count(9)
        page.wait_for_load_state("networkidle")
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.wait_for_timeout(3000)
        assert not requests


def test_sample_photos_are_one_click_away(browser: Any, tmp_path: Path, settings: pytest.MonkeyPatch) -> None:
    with serving(tmp_path / "new", tmp_path) as url, page_of(browser, url) as page:
        page.get_by_role("button", name="Try the sample photos").click()
        expect(page.get_by_text(re.compile(r"Ready: \d\d photos can be searched"))).to_be_visible()
        page.get_by_role("link", name="Library").click()
        page.get_by_role("button", name="Leave out: data").click()
        expect(page.get_by_label("Files and folders to leave out")).to_have_value(re.compile(r"phantom\.png"))
        assert problems_of(page) == []
        keep(page, "exclude")


def test_photos_are_labelled_by_hand(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        expect(cells(page)).to_have_count(9)
        cells(page).first.click(modifiers=["Control"])
        cells(page).nth(1).click(modifiers=["Control"])
        page.get_by_role("button", name="Label", exact=True).click()
        page.get_by_label("Name of the label").fill("by hand")
        page.get_by_role("button", name="Give").click()
        expect(page.get_by_text("2 photos got the label by hand.")).to_be_visible()
        assert problems_of(page) == []
        keep(page, "label")
        page.get_by_role("button", name="Take away").click()
        expect(page.get_by_text("2 photos lost the label by hand.")).to_be_visible()


SHARE = """([bytes, name]) => {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: "share", enctype: "multipart/form-data" });
  form.innerHTML = '<input name="text" value="at night"><input type="file" name="pictures">';
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
  form.querySelector("[type=file]").files = files.files;
  document.body.append(form);
  form.submit();
}"""


def test_pictures_that_are_shared_with_the_page_are_searched_for(browser: Any, library: Path) -> None:
    with serving(library, root_path="/photos") as url, page_of(browser, url, failing=True) as page:
        page.evaluate("navigator.serviceWorker.ready")
        page.evaluate(SHARE, [list(SAMPLES["rocket.jpg"].read_bytes()), "shared.jpg"])
        page.wait_for_url(re.compile(r"/photos/\?q=at\+night&upload=[0-9a-f]{32}$"))
        first_is(page, "rocket.jpg")
        page.evaluate(SHARE, [list(b"no picture"), "broken.jpg"])
        expect(page.get_by_text("Parts of this address were not understood")).to_contain_text("broken.jpg")
        expect(box(page)).to_have_value("at night")

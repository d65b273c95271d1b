"""The budget of the page: what its first load takes, what it asks for when idle, and from a key to results.

    python -m benchmarks.page WORK [--photos 100000] [--times 15]

A headless Chromium with an empty cache opens the page of a server whose library has synthetic vectors. Bytes
are those transferred, headers included, less thumbnails, which depend on the photos. Usable is the moment at
which the search field is there and takes words. From a key to results: words are put into the field, until
the first photo has changed; the page waits 60 ms for the next key before it asks. The server's part is the
time from the request to the first byte of its answer. Pages far down a result are asked for in turn, as
scrolling does. The browser and the server share this machine's cores.
"""

import argparse
import random
import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks import measure
from benchmarks.serve import make_library, request_json, running_server
from tests.support.browser import CHROMIUM, SWITCHES

_COLOURS = ("red", "blue", "green", "white", "black", "old")
_THINGS = ("dog", "cat", "car", "tree", "flower", "child", "house", "boat", "bridge", "cake", "bird", "hat")
_IDLE_SECONDS = 10
_PAGE = 60

_TYPE = """async (words) => {
  const first = () => document.querySelector('.cell[data-place="0"]')?.getAttribute("data-id");
  const before = first();
  const input = document.querySelector('input[type="search"]');
  performance.clearResourceTimings();
  const started = performance.now();
  input.value = words;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  while (first() === before && performance.now() - started < 10000) await new Promise(requestAnimationFrame);
  const shown = performance.now() - started;
  await new Promise((resolve) => setTimeout(resolve, 100));
  const entries = performance.getEntriesByType("resource");
  const asked = entries.filter((each) => each.name.endsWith("/search")).at(-1);
  return [shown, asked.responseStart - asked.requestStart];
}"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="a folder for photos and a library; about 3 KB a photo")
    parser.add_argument("--photos", type=int, default=100_000, help="vectors in the library")
    parser.add_argument("--times", type=int, default=15, help="loads, and words that are typed (default 15)")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    library = make_library(work, arguments.photos)
    measure.print_machine("fastapi", "uvicorn", "playwright")
    with running_server(library, work, page=True) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        _first_load(browser, server.place, arguments.times)
        _keys(browser, server.place, arguments.times)
        browser.close()
        _far_pages(server.place, arguments.photos)
    shutil.rmtree(library)


def _first_load(browser: Browser, place: str, times: int) -> None:
    usable, sizes, counts, idle = [], [], [], []
    for number in range(times):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        received = _transferred(context, page)
        page.goto(f"http://{place}/", wait_until="commit")
        page.wait_for_selector('input[type="search"]')
        usable.append(float(page.evaluate("performance.now()")))
        page.wait_for_load_state("networkidle")
        own = [size for url, size in received.values() if "/thumbnail" not in url]
        sizes.append(sum(own))
        counts.append(len(own))
        if number == 0:
            page.on("request", lambda request: idle.append(request.url))
            page.wait_for_timeout(1000 * _IDLE_SECONDS)
        context.close()
    print("\nfirst load, empty cache")
    rows = [
        ("kB transferred", *_middle([each / 1000 for each in sizes]), "100"),
        ("requests", *_middle(counts), ""),
        ("ms until usable", *_middle(usable), "500"),
        (f"requests in {_IDLE_SECONDS} s after it", f"{len(idle)}", f"{len(idle)}", "0"),
    ]
    measure.print_table(("", "median", "p95", "limit"), rows)


def _transferred(context: BrowserContext, page: Page) -> dict[str, tuple[str, float]]:
    """Address and bytes of each answer, by the id of its request; filled while the page loads."""
    received: dict[str, tuple[str, float]] = {}
    session = context.new_cdp_session(page)
    session.send("Network.enable")

    def arrived(told: Any) -> None:
        received[told["requestId"]] = (told["response"]["url"], 0.0)

    def finished(told: Any) -> None:
        url, _ = received.get(told["requestId"], ("", 0.0))
        received[told["requestId"]] = (url, float(told["encodedDataLength"]))

    session.on("Network.responseReceived", arrived)
    session.on("Network.loadingFinished", finished)
    return received


def _keys(browser: Browser, place: str, times: int) -> None:
    dice = random.Random(0)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(f"http://{place}/")
    page.wait_for_selector(".cell")
    found: list[Sequence[float]] = [
        page.evaluate(_TYPE, " ".join(dice.sample(_COLOURS + _THINGS, 4))) for _ in range(times + 2)
    ]
    context.close()
    shown, served = zip(*found[2:], strict=True)
    print("\nfrom the last key to the first photo shown, and the server's part")
    rows = [("key to results, ms", *_middle(shown), "150"), ("server, ms", *_middle(served), "15")]
    measure.print_table(("", "median", "p95", "limit"), rows)


def _far_pages(place: str, photos: int) -> None:
    """Pages of one result from the first to the last; the time of each is of the whole answer."""
    rows = []
    for start in (0, photos // 100, photos // 10, photos // 2):
        body = {"query": f"a dog {start}", "top": _PAGE}
        times = []
        for page in range(6):
            started = time.perf_counter()
            request_json(place, "/api/v1/search", {**body, "offset": start + page * _PAGE})
            times.append((time.perf_counter() - started) * 1e3)
        others = statistics.median(times[2:])
        rows.append((f"{start:,}", f"{times[0]:.0f}", f"{times[1]:.0f}", f"{others:.1f}"))
    print(f"\npages of {_PAGE} photos from a place on, ms: first asked for, second, median of others")
    measure.print_table(("from", "first", "second", "others"), rows)


def _middle(values: Sequence[float]) -> tuple[str, str]:
    ordered = sorted(values)
    last = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"{statistics.median(ordered):.0f}", f"{last:.0f}"


if __name__ == "__main__":
    main()

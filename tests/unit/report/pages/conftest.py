"""A browser for pages, where there is one: the one place that says why it is not tested in one."""

import importlib.util
import shutil
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESK, PHONE = (1280, 900), (390, 844)
AXE = "axe_playwright_python"  # which carries Deque's axe-core (MPL-2.0)
OPEN = "for (const one of document.querySelectorAll('main details')) one.open = true"
VIOLATIONS = "axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations)"
# A4 across, less the margins of the page, in CSS pixels.
PAPER = (1032, 730)
CUT_OFF = """[...document.querySelectorAll("main table, main svg, main pre")].filter((one) =>
  one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1).length"""


@pytest.fixture(scope="session")
def browser():
    """Return the program of a browser without a window; one apart for each test process."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no chromium is installed here, so no page is opened in a browser")
    return program


@pytest.fixture(scope="module")
def window(browser):
    """Return that browser, to be driven: its size and colours set, its pages measured."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed here")
    with api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def inspect(window, tmp_path):
    """Return a function from a page's HTML to what is wrong with it, by axe and on paper."""
    found = importlib.util.find_spec(AXE)
    if found is None:
        pytest.skip(f"{AXE} is not installed here, so no page is held against axe")
    axe = Path(found.submodule_search_locations[0], "axe.min.js").read_text()

    def look(html, colours, size):
        path = tmp_path / "inspected.html"
        path.write_text(html)
        page = window.new_page(
            viewport=dict(zip(("width", "height"), size, strict=True)), color_scheme=colours
        )
        wrong = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_function("document.documentElement.dataset.sortable === 'ready'")
        page.evaluate(OPEN)
        page.wait_for_function(
            "[...document.querySelectorAll('.chart')].every((one) => one.querySelector('summary'))"
        )
        page.evaluate(axe)
        wrong += [
            f"{one['id']}: {node['html'][:120]}"
            for one in page.evaluate(VIOLATIONS)
            for node in one["nodes"]
        ]
        wrong += [url for url in asked if not url.startswith(("file:", "blob:", "data:"))]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wrong.append("the page is wider than the screen")
        page.emulate_media(media="print")
        page.set_viewport_size(dict(zip(("width", "height"), PAPER, strict=True)))
        cut = page.evaluate(CUT_OFF)
        wrong += [f"{cut} tables or figures are cut off on paper"] if cut else []
        page.close()
        return wrong

    def both(html):
        return [*look(html, "light", DESK), *look(html, "dark", PHONE)]

    return both

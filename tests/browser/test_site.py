"""The site to read: built from what is committed, and read page by page in a browser."""

import functools
import http.server
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from lab import PROJECT

pytest.importorskip("sphinx", reason="Sphinx is not installed: pip install -e '.[site]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright",
                          reason="axe is not installed: pip install -e '.[browser]'")  # fmt: skip
RULES = {"runOnly": ["wcag2a", "wcag2aa"]}  # contrast and alt text among them


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html",
               "-d", folder / "trees", "-c", "docs", ".", folder / "html"]  # fmt: skip
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def address(built):
    handler = functools.partial(Quiet, directory=built)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def page(browser):
    """A page that notes what a browser complains of."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.complaints = []
    page.on("console", lambda m: m.type == "error" and page.complaints.append(m.text))
    page.on("pageerror", lambda e: page.complaints.append(str(e)))
    page.on("requestfailed", lambda r: page.complaints.append(f"failed: {r.url}"))
    page.on("request", lambda r: "//127.0.0.1:" in r.url or page.complaints.append(f"to {r.url}"))
    yield page
    page.close()


def names(built: Path) -> list[str]:
    """Every page that a reader meets."""
    found = sorted(p.relative_to(built).as_posix() for p in built.rglob("*.html"))
    return [name for name in found if not name.startswith(("index", "_"))]


def test_all_notebooks_and_documents_are_pages(built):
    pages = names(built)
    for pattern in ("notebooks/*.ipynb", "docs/*.md"):
        for path in PROJECT.glob(pattern):
            assert path.relative_to(PROJECT).with_suffix(".html").as_posix() in pages
    assert "docs/index.html" in (built / "index.html").read_text("utf-8")


def test_nobody_is_sent_astray(built, page, address):
    """Each link within the site arrives, at the very heading that it names."""
    places, links = {}, []
    for name in names(built):
        page.goto(f"{address}/{name}", wait_until="domcontentloaded")
        places[name] = set(page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)"))
        found = page.evaluate("[...document.querySelectorAll('a[href]')].map(e => e.href)")
        links += [(name, link.removeprefix(f"{address}/")) for link in found
                  if link.startswith(address)]  # fmt: skip
    assert len(links) > 500
    astray = []
    for name, link in sorted(set(links)):
        target, anchor = urldefrag(unquote(link))
        target = target.split("?")[0]
        known = places.get(target, {anchor}) | {""}
        if not (built / target).is_file() or anchor not in known:
            astray.append(f"{name} -> {link}")
    assert not astray, "\n".join(astray)


def test_nothing_is_broken_for_eye_ear_or_thumb(built, page, address, pictures):
    """No complaint, no broken picture, contrast and alt text, and no page wider than a phone."""
    faults, seen = [], 0
    for name in names(built):
        page.complaints.clear()
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(f"{address}/{name}", wait_until="networkidle")
        faults += [f"{name}: {complaint}" for complaint in page.complaints]
        images = page.evaluate("[...document.querySelectorAll('article img')].map("
                               "e => [e.naturalWidth, e.alt, e.src])")  # fmt: skip
        seen += len(images)
        faults += [f"{name}: {src}: {width} px, alt {alt!r}" for width, alt, src in images
                   if not width or len(alt) < 20]  # fmt: skip
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # no colour in between
            page.wait_for_timeout(300)
            for found in axe.Axe().run(page, options=RULES).response["violations"]:
                nodes = [node["html"][:120] for node in found["nodes"][:3]]
                faults.append(f"{name}, {scheme}: {found['id']}: {nodes}")
            page.screenshot(path=pictures / f"site-{name.replace('/', '-')}-{scheme}.png")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 390, "height": 844})
        wide = page.evaluate("document.documentElement.scrollWidth")
        faults += [f"{name}: {wide} px wide on a phone"] if wide > 390 else []
        page.screenshot(path=pictures / f"site-{name.replace('/', '-')}-phone.png")
    assert not faults, "\n".join(faults)
    assert seen > 20


def test_a_reader_can_search_and_turn_the_pages(page, address):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{address}/notebooks/03_build_unet.html")
    page.click("a.right-next")
    assert page.url.endswith("/notebooks/04_train.html")
    page.click("a.left-prev")
    assert page.url.endswith("/notebooks/03_build_unet.html")
    assert "colab.research.google.com" in page.content()
    assert page.locator("#bootstrap-why, details.hide").count() >= 1  # the first cell is folded
    page.goto(f"{address}/search.html?q=dropout")
    page.wait_for_selector("#search-results li a")
    assert "03" in page.locator("#search-results").inner_text()

"""The demo's page, used as a person would: drop a picture, look, download."""

import re
import subprocess
import sys
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from lab import wait_for

from unet_lib import phantom

pytestmark = pytest.mark.skipif(
    not find_spec("gradio"), reason="Gradio is not installed: pip install -e '.[demo]'"
)
NOT_HERE = re.compile(r"^(?!http://127\.0\.0\.1:|data:|blob:)")


@pytest.fixture(scope="module")
def address():
    with subprocess.Popen([sys.executable, "-m", "unet_lib", "demo"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as served:  # fmt: skip
        yield next(line.split()[0] for line in served.stdout if "http://" in line)
        served.terminate()


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.faults = []
    page.on("console", lambda m: m.type == "error" and page.faults.append(m.text))
    page.on("request", lambda r: NOT_HERE.match(r.url) and page.faults.append(f"to {r.url}"))
    page.goto(address)
    page.wait_for_selector("#given input[type=file]", state="attached")
    yield page
    page.close()


def drop(page, path, *, until: str):
    page.set_input_files("#given input[type=file]", path)
    wait_for(lambda: until in page.locator("#told").inner_text(), seconds=60, what=until)


def test_a_picture_becomes_a_mask_to_look_at_and_to_keep(page, address, tmp_path, pictures):
    image, truth, _ = phantom.draw(5, size=(400, 320))
    path = tmp_path / "hers.png"
    path.write_bytes(cv2.imencode(".png", image.astype(np.uint16) * 16)[1].tobytes())
    drop(page, path, until="Nothing unusual")
    page.wait_for_timeout(500)
    page.screenshot(path=pictures / "demo.png")
    assert page.locator("#overlay img").evaluate("e => e.naturalWidth") == 320
    with page.expect_download() as fetched:
        page.click("#fetch")
    assert fetched.value.suggested_filename == "hers.png"
    mask = cv2.imread(str(fetched.value.path()), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) == {0, 255} and mask.shape == truth.shape
    both = np.count_nonzero(mask & truth)
    assert 2 * both / (np.count_nonzero(mask) + np.count_nonzero(truth)) > 0.9
    assert page.faults == []


def test_what_is_no_picture_leaves_no_mask_of_another(page, tmp_path, pictures):
    good, bad = tmp_path / "good.png", tmp_path / "notes.txt"
    good.write_bytes(cv2.imencode(".png", phantom.draw(1, size=128)[0])[1].tobytes())
    bad.write_text("hello")
    drop(page, good, until="doubt")
    page.locator("#given button").first.click()
    drop(page, bad, until="this is no picture")
    page.screenshot(path=pictures / "demo-refused.png")
    assert page.locator("#mask img").count() == 0 and page.locator("#overlay img").count() == 0

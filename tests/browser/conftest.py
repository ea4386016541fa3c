"""JupyterLab on this machine, with a copy of the project, and a browser that looks at it."""

import os
import shutil
from pathlib import Path

import pytest
from lab import PROJECT, Lab

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium of the system's: Playwright's own would have to be downloaded."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed (Debian: apt install chromium)")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    """JupyterLab with the whole series in a folder of its own, and one page that shows it."""
    started = Lab(PROJECT, tmp_path_factory.mktemp("lab"))
    try:
        started.open(browser)
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots go, to be looked at: $SCREENSHOTS, or runs/browser."""
    folder = Path(os.environ.get("SCREENSHOTS") or PROJECT / "runs" / "browser")
    folder.mkdir(parents=True, exist_ok=True)
    return folder

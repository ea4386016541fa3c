"""Every notebook in JupyterLab, in a real browser: run, stopped, gone on with, looked at."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from lab import CELL, PANEL, PROJECT, wait_for

from unet_lib.series import plan

STEMS = [path.stem for path in plan.select(plan.NOTEBOOKS, every=True)]
TRAINING = "04_train"
# What would take minutes and looks the same with less; nbval runs it whole.
LESS = {
    "07_close_the_gap": ("experiment_epochs: int = 20", "experiment_epochs: int = 4"),
    "10_batch_runs": ("sweep_epochs: int = 8", "sweep_epochs: int = 1"),
    "11_scale_out": ("scale_epochs: int = 4", "scale_epochs: int = 1"),
    "12_ship_it": ("128, 160, 256, 512", "128"),
}
# What is broader than the page: a figure, a table, a line of code or of output.
BROADER = """(cells) => [...document.querySelectorAll(cells)].flatMap((cell, number) =>
    [...cell.querySelectorAll('.jp-OutputArea-output, .cm-scroller, .jp-RenderedMarkdown, img')]
    .filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 2 && e.tagName != 'IMG'
                 || e.getBoundingClientRect().right > innerWidth)
    .map(e => `cell ${number}: ${e.className} ${e.scrollWidth} > ${e.clientWidth}`))"""


def lacking(stem: str) -> list[str]:
    """Name the packages that a notebook for practitioners needs and that are not installed."""
    about = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = about["optional-dependencies"].get(plan.PRACTICE.get(stem), [])
    names = [re.match(r"[\w.-]+", requirement)[0] for requirement in needed]
    return [name for name in names if not any(importlib.metadata.distributions(name=name))]


def outputs(cell: dict):
    """Each output of a code cell; none of another cell."""
    return cell.get("outputs", [])


def printed(notebook: dict) -> dict[str, str]:
    """What each cell printed, by id; without the training, which does not train a second time."""
    return {cell["id"]: "".join("".join(out.get("text", "")) for out in outputs(cell))
            for cell in notebook["cells"] if cell["cell_type"] == "code" and cell["id"] != "fit"}


def check(lab, stem: str) -> None:
    """What must hold of a notebook that has run: on the disk, and on the screen."""
    notebook = lab.notebook(stem)
    for cell in notebook["cells"]:
        where = f"{stem} [{cell['id']}]"
        if cell["cell_type"] == "code" and "".join(cell["source"]).strip():
            assert cell["execution_count"], f"{where} did not run"
        for out in outputs(cell):
            assert out["output_type"] != "error", f"{where}: {out.get('evalue')}"
            assert out.get("name") != "stderr", f"{where} wrote to stderr: {out['text']}"
            lines = "".join(out.get("text", "")).splitlines()
            long = [line for line in lines if len(line.rstrip()) > 100]
            assert not long, f"{where} prints a line above 100"
    drawn = lab.page.locator(f"{CELL} .jp-OutputArea-output img")
    due = sum("image/png" in out.get("data", {}) for c in notebook["cells"] for out in outputs(c))
    assert drawn.count() == due
    assert all(drawn.evaluate_all("all => all.map(e => e.naturalWidth > 0)"))
    assert lab.page.evaluate(BROADER, CELL) == []


def follow(lab, stem: str) -> None:
    """The link to the next notebook opens it."""
    lab.page.locator(f"{PANEL} a[href*='{stem}.ipynb']").last.click()
    tab = lab.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text=f"{stem}.ipynb")
    tab.wait_for()


def stop_in_training(lab, pictures: Path) -> None:
    """Interrupt 04 in mid-training: one sentence and no traceback; the same cell then goes on."""
    fit = lab.cell("fit")
    lab.choose("Run", "Run All Cells")
    seen = set()

    def two_epochs() -> bool:
        text = fit.locator(".jp-Cell-outputArea").inner_text()
        seen.add(text)
        return "epoch 2" in text.lower() or "epoch  2" in text.lower()

    wait_for(two_epochs, seconds=400, what="the second epoch")
    assert len(seen) >= 4, "the progress bar did not move"
    lab.choose("Kernel", "Interrupt Kernel")
    lab.wait_idle(120)
    text = fit.locator(".jp-Cell-outputArea").inner_text()
    assert "Traceback" not in text and "Run this cell again" in text, text
    lab.picture(pictures / f"{TRAINING}_stopped.png")
    fit.click()
    lab.choose("Run", "Run Selected Cell and All Below")
    wait_for(lambda: lab.waiting() > 0, seconds=30, what="a running cell")
    lab.wait_idle(600)
    lab.save()
    text = fit.locator(".jp-Cell-outputArea").inner_text()
    assert "resum" in text.lower() or "going on" in text.lower(), text
    assert len(text.splitlines()) <= 16, text


def restart_on_finished(lab) -> None:
    """On a finished run everything runs again without training, and prints the same."""
    before = printed(lab.notebook(TRAINING))
    lab.choose("Kernel", "Restart Kernel and Run All Cells…")
    wait_for(lambda: lab.waiting() > 0, seconds=60, what="a running cell")
    lab.wait_idle(300)
    lab.save()
    assert {"curves", "gap", "close"} <= before.keys()  # numbers that come out of the training
    assert printed(lab.notebook(TRAINING)) == before


@pytest.mark.parametrize("stem", STEMS[::4])
def test_opening_and_saving_changes_nothing_that_git_sees(lab, stem):
    """But for the version of Python, where another one than the committed runs the kernel."""
    path = lab.root / "notebooks" / f"{stem}.ipynb"
    text, stamp = path.read_text(encoding="utf-8"), path.stat().st_mtime_ns
    lab.end_kernels()
    lab.show(stem)
    lab.save()
    wait_for(lambda: path.stat().st_mtime_ns > stamp, seconds=20, what="a file that was saved")
    wait_for(lambda: without_version(path.read_text(encoding="utf-8")) == without_version(text),
             seconds=5, what="the same text")  # fmt: skip


def without_version(text: str) -> str:
    """Return a notebook's text without the version of Python in its metadata."""
    return re.sub(r'"version": "3\.\d+\.\d+\w*"', "", text)


@pytest.mark.parametrize("stem", STEMS)
def test_notebook_in_the_browser(lab, stem, pictures):
    if without := lacking(stem):
        group = plan.PRACTICE[stem]
        pytest.skip(f"without {', '.join(without)}; pip install -e '.[{group}]' brings them")
    lab.end_kernels()
    if stem in LESS:
        path = lab.root / "notebooks" / f"{stem}.ipynb"
        text = path.read_text(encoding="utf-8")
        assert LESS[stem][0] in text
        path.write_text(text.replace(*LESS[stem]), encoding="utf-8")
    lab.show(stem)
    if stem == TRAINING:
        stop_in_training(lab, pictures)
        restart_on_finished(lab)
    else:
        lab.run_all()
    check(lab, stem)
    lab.picture(pictures / f"{stem}_light.png")
    following = STEMS[STEMS.index(stem) + 1 :][:1]
    if following:
        follow(lab, *following)


def test_the_contents_lead_into_the_series(lab, pictures):
    """What `make lab` opens is a page, and its first row opens the first notebook."""
    lab.page.goto(f"{lab.address}/lab/workspaces/contents/tree/docs/index.md?reset")
    row = lab.page.locator(".jp-MarkdownViewer td a").first
    row.wait_for()
    lab.page.screenshot(path=pictures / "contents.png")
    row.click()
    tab = lab.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text=f"{STEMS[0]}.ipynb")
    tab.wait_for()


def test_dark_theme(lab, pictures):
    lab.end_kernels()
    lab.page.locator(".lm-MenuBar-itemLabel", has_text="Settings").first.click()
    lab.page.locator(".lm-Menu-itemLabel").get_by_text("Theme", exact=True).hover()
    lab.page.locator(".lm-Menu-itemLabel").get_by_text("JupyterLab Dark", exact=True).click()
    for stem in STEMS[::3]:
        lab.show(stem)
        assert lab.page.locator("body").get_attribute("data-jp-theme-light") == "false"
        lab.picture(pictures / f"{stem}_dark.png")

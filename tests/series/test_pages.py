"""The page of a sweep."""

import csv
import re

import pytest
from test_report import Page

from unet_lib import runs, workspace
from unet_lib.series import execute, pages

NAMES = ("point", "width", "seed", "status", "reason", "dice")
REASON = "04_train, cell 'fit': MemoryError: <b>no</b> memory & more\nwhat ran until then is in x"


def page(home, lines):
    with workspace.replacing_file(home / "results.csv") as partial, partial.open("w") as file:
        csv.writer(file).writerows([NAMES, *lines])
    pages.write(home)
    return Page((home / "results.html").read_text("utf-8"))


def test_settings_figures_and_failures(tmp_path):
    lines = [("a", 4, 0, "done", "", 0.5), ("b", 4, 1, "done", "", 0.7),
             ("c", 8, 0, "done", "", 0.8), ("d", 8, 1, "failed", REASON, ""),
             ("e", 8, 2, "done", "", 0.9)]
    for k, name in enumerate("abc"):
        values = dict.fromkeys(runs.COLUMNS, [1.0, 2.0]) | {"val_dice": [0.1, k / 10]}
        runs.write_history(tmp_path / name, values)
    found = page(tmp_path, lines)
    text = " ".join(found.text.split())
    assert "4 of 5 runs are done, 2 settings." in text
    assert "width 40.60000.5000 to 0.70002 of 2" in text
    assert "width 8 (highest)0.85000.8000 to 0.90002 of 3" in text
    assert "One run deviates by 0.1118 from the mean of its setting" in text
    luck = float(re.search(r"would on average look (0\.\d{4}) better", text)[1])
    assert luck == pytest.approx(0.5642 * 0.1118 / 2**0.5, rel=0.05)  # of two, twice each
    assert "dfailed04_trainfitMemoryError: <b>no</b> memory & morewhat ran" in text
    assert len(found.images) == 2 and all(s.startswith("data:image/png") for s in found.images)
    assert all(len(alt.split()) > 8 for alt in found.described)
    assert not [link for link in found.links if link.startswith("http")]


def test_without_repeats_it_says_that_luck_is_not_known(tmp_path):
    text = page(tmp_path, [("a", 4, 0, "done", "", 0.5), ("b", 8, 0, "done", "", 0.7)]).text
    assert "Each setting ran once" in text and "deviates" not in text


def test_where_nothing_is_done_there_is_no_figure(tmp_path):
    found = page(tmp_path, [("a", 4, 0, "missing", "it did not run", "")])
    assert "0 of 1 runs are done" in found.text and found.images == []
    assert "Runs that are not done: 1" in found.text and "it did not run" in found.text


def test_the_page_appears_whole(tmp_path, monkeypatch):
    page(tmp_path, [("a", 4, 0, "done", "", 0.5)])
    before = (tmp_path / "results.html").read_bytes()

    def full(path, *_):
        path.write_bytes(b"<ht")
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="no space"):
        pages.write(tmp_path)
    monkeypatch.undo()
    assert (tmp_path / "results.html").read_bytes() == before
    assert not list(tmp_path.glob("*partial*"))


@pytest.mark.parametrize(("reason", "expected"), [
    (REASON, ("04_train", "fit", REASON.split(": ", 1)[1])),
    ("04_train, cell 'fit': the kernel died of SIGKILL; mostly", (
        "04_train", "fit", "the kernel died of SIGKILL; mostly")),
    ("it did not run", ("", "", "it did not run")),
    ("ValueError: the source is empty", ("", "", "ValueError: the source is empty")),
])
def test_where_a_run_failed(reason, expected):
    assert pages.where(reason) == expected


def test_the_runner_words_it_so(tmp_path, folder):
    """What a failing notebook raises is what `where` takes apart."""
    from made import run, write_notebook

    write_notebook(folder / "02_two.ipynb", "raise MemoryError('unlucky: 13')")
    with pytest.raises(execute.NotebookFailed) as caught:
        run(folder)
    notebook, cell, message = pages.where(str(caught.value))
    assert (notebook, cell) == ("02_two", "cell-0")
    assert message.startswith("MemoryError: unlucky: 13")

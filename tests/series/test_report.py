"""The page of a run: links, ids, figures, and how old each notebook on it is."""

import html.parser
import json
import os
import re
import shlex
import sys

import nbformat
import pytest
from made import BADGE

from unet_lib import workspace
from unet_lib.series import report

PIXEL = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
         "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
METRICS = {
    "validation": {"dice": {"mean": 0.9512}, "iou": {"mean": 0.9}, "accuracy": {"mean": 0.97}},
    "baselines": {"all_background": {"accuracy": {"mean": 0.7634}, "dice": {"mean": 0.0}}},
}


class Page(html.parser.HTMLParser):
    """Collects what a page refers to and the ids that it holds."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.images, self.text = [], [], [], ""
        self.described = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if tag == "a" and "href" in attrs else []
        self.images += [attrs["src"]] if tag == "img" else []
        self.described += [attrs.get("alt")] if tag == "img" else []

    def handle_data(self, data):
        self.text += data


def executed(folder, stem, end_time):
    output = nbformat.v4.new_output("display_data", {"image/png": PIXEL})
    cells = [
        nbformat.v4.new_markdown_cell(
            f"# Title of {stem}\n\n{BADGE}\n\nNext: [two](02_two.ipynb#a)", id="title"),
        nbformat.v4.new_code_cell("show()", id="figure", outputs=[output]),
    ]
    metadata = {"papermill": {"end_time": end_time}} if end_time else {}
    path = folder / f"{stem}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def test_page_holds_all_notebooks_and_refers_to_nothing_outside(tmp_path):
    copies = [executed(tmp_path, stem, None) for stem in ("01_one", "02_two")]
    report.write_report(copies, tmp_path / "mine" / "report.html")
    page = Page((tmp_path / "mine" / "report.html").read_text("utf-8"))
    assert {"#01_one", "#02_two"} <= set(page.links)
    assert [link for link in page.links if not link.startswith("#")] == []
    assert len(page.ids) == len(set(page.ids)) and {"01_one", "02_two"} <= set(page.ids)
    assert {"cell-id=01_one-figure", "cell-id=02_two-figure"} <= set(page.ids)
    assert len(page.images) == 2
    assert all(src.startswith("data:image/png;base64,") for src in page.images)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["report.html"]


def test_each_figure_is_described_in_words(tmp_path):
    """A reader who does not see it hears what the cell's metadata say."""
    path = executed(tmp_path, "01_one", None)
    notebook = nbformat.read(path, 4)
    notebook.cells[1].metadata["alt"] = 'Two <lungs>, "in grey"'
    nbformat.write(notebook, path)
    copies = [path, executed(tmp_path, "02_two", None)]
    report.write_report(copies, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert page.described == ['Two <lungs>, "in grey"', "figure without a description"]


def test_ids_of_cells_are_no_longer_than_nbformat_allows(tmp_path):
    stem = "01_" + "o" * 57
    report.write_report([executed(tmp_path, stem, None)], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    cells = [name.removeprefix("cell-id=") for name in page.ids if name.startswith("cell-id=")]
    assert set(cells) == {"contents", stem, f"{stem}-tit", f"{stem}-fig"}
    assert max(map(len, cells)) == 64


def test_contents_tell_what_is_older_than_what_it_needs(tmp_path):
    times = {"04_train": "2026-01-02T10:00:00.0", "05_evaluate": "2026-01-01T10:00:00.0",
             "06_more": "2026-01-03T10:00:00.0", "07_other": None}
    copies = [executed(tmp_path, stem, time) for stem, time in times.items()]
    needs = {"05_evaluate": ("04_train",), "06_more": ("04_train",), "07_other": ("04_train",)}
    report.write_report(copies, tmp_path / "report.html", needs=needs)
    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    assert "Title of 04_train, executed 2026-01-02 10:00 UTC\n" in text
    assert ("Title of 05_evaluate, executed 2026-01-01 10:00 UTC; older than 04_train, whose"
            " results it needs\n") in text
    assert "Title of 06_more, executed 2026-01-03 10:00 UTC\n" in text
    assert "Title of 07_other\n" in text


def test_a_page_that_cannot_be_made_leaves_the_earlier_one(tmp_path):
    target = tmp_path / "report.html"
    target.write_text("earlier")
    broken = tmp_path / "01_one.ipynb"
    broken.write_text("{}")
    with pytest.raises(Exception, match="Notebook|cells|nbformat"):
        report.write_report([broken], target)
    assert target.read_text() == "earlier"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01_one.ipynb", "report.html"]


def test_results_are_those_of_this_request(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    run = workspace.run_dir("mine")
    run.mkdir(parents=True)
    (run / "metrics.json").write_text(json.dumps(METRICS))
    report.show_results("mine", [run / "01.ipynb"], newer_than=0)
    out = capsys.readouterr().out
    for text in ("0.9512", "0.9700", "0.7634", "validation mean", "all background", "01.ipynb"):
        assert text in out
    os.utime(run / "metrics.json", (1, 1))
    report.show_results("mine", [], newer_than=1000)
    assert "validation mean" not in capsys.readouterr().out
    assert report.read_metrics("mine") == METRICS
    for newer_than, fresh in ((1.5, True), (2.0, True), (2.5, False)):  # a second is allowed for
        assert bool(report.read_metrics("mine", newer_than=newer_than)) is fresh


def test_each_class_has_a_line_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    classes = {"right lung": {"dice": {"mean": 0.9611}}, "left lung": {"dice": {"mean": 0.9422}}}
    found = {"validation": {"dice": {"mean": 0.95}, "classes": classes}}
    workspace.write_json(workspace.run_dir("sides") / "metrics.json", found)
    report.show_results("sides", [], newer_than=0)
    out = capsys.readouterr().out
    assert re.search(r"dice of right lung\W+0\.9611", out)
    assert re.search(r"dice of left lung\W+0\.9422", out)


def test_a_finished_run_ends_with_the_command_that_predicts_with_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path / "my work"))
    run = workspace.run_dir("mine")
    run.mkdir(parents=True)
    copy = executed(tmp_path, "04_train", "2026-01-02T10:00:00.0")
    report.write_report([copy], run / "report.html")
    report.show_results("mine", [], newer_than=0)
    assert "predict" not in capsys.readouterr().out + Page((run / "report.html").read_text()).text
    (run / "best.keras").touch()
    report.write_report([copy], run / "report.html")
    report.show_results("mine", [], newer_than=0)
    python = shlex.quote(sys.executable)  # a terminal's own may be another, or none
    command = f"{python} -m unet_lib predict FOLDER --out masks --model '{run}'"
    assert capsys.readouterr().out.endswith(f"masks for pictures of your own: {command}\n")
    assert f"Masks for pictures of your own\n{command}" in re.sub(
        r"\n\s*", "\n", Page((run / "report.html").read_text("utf-8")).text.replace("¶", ""))

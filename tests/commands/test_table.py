"""predictions.csv is read back as it was written, and no table of another's is written over."""

import csv

import pytest

from unet_lib.commands import table

ROW = {"file": "a/b.png", "status": "ok", "width": "5", "area_px": "12", "dice": ""}


def test_rows_come_back(tmp_path):
    odd = {"file": 'new\nline, "quoted" é.png', "status": "failed", "reason": "cut; =1"}
    table.write(tmp_path, {"a/b.png": ROW, odd["file"]: odd})
    rows = table.read(tmp_path)
    assert list(rows) == ["a/b.png", odd["file"]]
    assert rows[odd["file"]]["reason"] == "cut; =1" and rows["a/b.png"]["area_px"] == "12"
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    assert header[:13] == (
        "file,status,width,height,area_px,area_share,parts,confidence_inside,confidence_rim,doubt,"
        "check,reason,seconds").split(",")
    assert "dice" not in header


def test_scores_add_columns(tmp_path):
    table.write(tmp_path, {"a": {**ROW, "dice": "0.95", "hd95_px": "3", "hd95_mm": ""}})
    assert table.read(tmp_path)["a/b.png"]["dice"] == "0.95"


def test_a_name_that_is_no_text_is_written_all_the_same(tmp_path):
    table.write(tmp_path, {"x": {"file": "x", "reason": "/data/\udcff is damaged"}})
    assert table.read(tmp_path)["x"]["reason"] == "/data/\\udcff is damaged"


def test_every_column_is_explained_and_so_is_what_it_is_not_for(tmp_path):
    table.write(tmp_path, {})
    about = (tmp_path / "predictions_README.txt").read_text("utf-8")
    assert "NOT FOR CLINICAL USE" in about and "burnt into pixels" in about
    for column in (*table.COLUMNS, *table.TRUTH):
        assert column in about


@pytest.mark.parametrize("content", [b"id,score\n1,2\n", b"\xff\xfe\x00", b""])
def test_a_table_of_others_is_refused(tmp_path, content):
    (tmp_path / "predictions.csv").write_bytes(content)
    with pytest.raises(FileExistsError, match="predictions.csv is there and was not written by "
                                              "predict .expected columns file, status, width"):
        table.read(tmp_path)
    assert table.read(tmp_path / "empty") == {}


def test_classes_add_columns_of_their_own_also_when_the_table_is_read_again(tmp_path):
    classes = {"area_px:right lung": 3, "dice:right lung": "0.9"}
    table.write(tmp_path, {"a/b.png": ROW, "c": {**ROW, "file": "c", **classes}})
    again = table.read(tmp_path)
    table.write(tmp_path, again)
    assert table.read(tmp_path)["c"]["dice:right lung"] == "0.9"
    assert again["a/b.png"]["area_px:right lung"] == ""
    about = (tmp_path / "predictions_README.txt").read_text("utf-8")
    assert "area_px:NAME" in about and "dice:NAME" in about

"""What an earlier call of `predict` left is told from what holds now."""

import numpy as np
import pytest
from made_sets import WHITE, chest, encode, put
from predicting import HELD, called, films, mask

pytestmark = pytest.mark.usefixtures("dark")


def cut(path):
    return put(path, encode(chest(1))[:900])


def test_the_table_tells_what_holds_after_files_have_changed(tmp_path, capsys):
    films(tmp_path / "in", "1.png", "2.png", "3.png", "4.png")
    called("in", "--out", "o", capsys=capsys)
    cut(tmp_path / "in/1.png")
    put(tmp_path / "in/2.png", "a note")
    (tmp_path / "in/3.png").unlink()
    code, table, said = called("in", "--out", "o", capsys=capsys)
    assert code == 1 and set(table) == {"1.png", "4.png"}
    assert table["1.png"]["status"] == "failed" and table["4.png"]["status"] == "ok"
    assert table["1.png"]["reason"].endswith("; masks/1.png is of what the file held before")
    assert "1 file is gone: 3.png; its mask is left\n" in said
    assert ("1 file skipped, no picture: 2.png (masks/2.png is of what the file held before)\n"
            in said)
    assert all((tmp_path / f"o/masks/{n}.png").exists() for n in range(1, 5))
    again = called("in", "--out", "o", capsys=capsys)
    assert again[:2] == (code, table) and "gone" not in again[2]
    films(tmp_path / "in", "1.png", "2.png", "3.png")
    code, table, _ = called("in", "--out", "o", capsys=capsys)
    assert code == 0 and {row["status"] for row in table.values()} == {"ok"} and len(table) == 4


def test_rows_of_other_folders_stay(tmp_path, capsys):
    films(tmp_path / "a", "x.png", "y.png")
    films(tmp_path / "b", "z.png")
    called("a", "--out", "o", capsys=capsys)
    (tmp_path / "a/y.png").unlink()
    _, table, said = called("b", "--out", "o", capsys=capsys)
    assert set(table) == {"x.png", "y.png", "z.png"} and "gone" not in said
    assert {row["status"] for row in table.values()} == {"ok"}
    _, table, said = called("a", "--out", "o", capsys=capsys)
    assert set(table) == {"x.png", "z.png"} and "1 file is gone: y.png" in said


def test_a_row_of_a_failure_elsewhere_is_not_taken_for_that_of_a_file_that_is_gone(
    tmp_path, capsys
):
    films(tmp_path / "a", "x.png")
    put(tmp_path / "b/x.png", 255 - HELD)
    called("a", "--out", "o", capsys=capsys)
    _, table, _ = called("b", "--out", "o", capsys=capsys)  # the name is taken
    assert table["x.png"]["status"] == "failed"
    (tmp_path / "a/x.png").unlink()
    _, table, said = called("a", "--out", "o", capsys=capsys)
    assert table["x.png"]["status"] == "failed" and "gone" not in said


def test_a_file_is_missed_by_the_folder_it_lay_in(tmp_path, capsys):
    films(tmp_path / "in", "a/x.png", "a/x.jpg", "a/y.PNG", "b/z.png")
    called("in", "--out", "o", capsys=capsys)
    for name in ("a/x.png", "a/y.PNG", "b/z.png"):
        (tmp_path / "in" / name).unlink()
    _, table, said = called("in/a", "--out", "o", capsys=capsys)
    assert "2 files are gone: a/x.png, a/y.PNG; their masks are left\n" in said
    assert {"b/z.png"} <= set(table) and not {"a/x.png", "a/y.PNG"} & set(table)


def test_a_file_alone_asks_about_no_other(tmp_path, capsys):
    films(tmp_path / "in", "x.png", "y.png")
    called("in", "--out", "o", capsys=capsys)
    (tmp_path / "in/y.png").unlink()
    _, table, said = called("in/x.png", "--out", "o", capsys=capsys)
    assert set(table) == {"x.png", "y.png"} and "gone" not in said


def test_a_failure_that_is_not_the_files_says_no_more_than_is_known(tmp_path, capsys, monkeypatch):
    from unet_lib.commands import models

    films(tmp_path / "in", "x.png", "y.png")
    called("in/x.png", "--out", "o", capsys=capsys)

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(models, "predict", fail)
    _, table, _ = called("in", "--out", "o", "--threshold", "0.6", capsys=capsys)
    assert table["x.png"]["reason"] == "MemoryError; masks/x.png is of an earlier call"
    assert table["y.png"]["reason"] == "MemoryError"


def test_the_mask_of_another_picture_is_not_called_an_older_one(tmp_path, capsys):
    films(tmp_path / "a", "x.png")
    put(tmp_path / "b/x.png", HELD - np.uint8(5))
    called("a", "--out", "o", capsys=capsys)
    _, table, _ = called("b", "--out", "o", capsys=capsys)
    assert "another picture of this name" in table["x.png"]["reason"]
    assert "masks/x.png is of" not in table["x.png"]["reason"]
    assert np.array_equal(mask("o/masks/x.png"), WHITE)

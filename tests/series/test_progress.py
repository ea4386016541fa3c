"""What a run shows: plain lines that name their notebook, or bars that stand side by side."""

import time

import pytest
from made import write_notebook

from unet_lib.series import progress


@pytest.fixture
def books(tmp_path):
    books = [tmp_path / f"0{k}_{name}.ipynb" for k, name in enumerate(("one", "two", "three"), 1)]
    for book in books:
        write_notebook(book)
    return books


def begin(books, monkeypatch, *, terminal, columns=100):
    monkeypatch.setenv("FORCE_COLOR" if terminal else "NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    return progress.Board(books)


def test_plain_lines_name_their_notebook(books, monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with begin(books, monkeypatch, terminal=False) as board:
        one, two = (board.lines[book] for book in books[:2])
        one.begin(3)
        two.begin(2)
        one.start_cell({"id": "fit"}, 1)
        clock[0] = 50
        one.write("epoch 1\n")
        clock[0] = 61
        one.write("epoch 2\nepoch 3\n")
        one.write("epoch 4\n")
        two.start_cell({}, 1)
        two.write("\n")
        two.write("x" * 70)
        clock[0] = 70
        two.end("stopped in cell '1'")
        board.tell_failure("02_two", ["01_one"])
        one.end()
        board.tell_failure("01_one", [])
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line] == [  # rich 13 ends with an empty one
        "01_one: 3 cells", "02_two: 2 cells", "01_one, fit: epoch 3", "02_two, 1: " + "x" * 60,
        "02_two: 1/2 cells, 70 s, stopped in cell '1'",
        "02_two has failed; the run stops when 01_one has ended", "01_one: 3/3 cells, 70 s",
    ]  # fmt: skip


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_bars_stand_together_each_in_one_row_in_reading_order(
    books, monkeypatch, capsys, columns
):
    with begin(books, monkeypatch, terminal=True, columns=columns) as board:
        capsys.readouterr()
        two, one = board.lines[books[1]], board.lines[books[0]]
        two.begin(5)
        one.begin(4)
        one.start_cell({"id": "fit"}, 2)
        one.write("epoch 1/20  loss 0.123  dice 0.456  validation loss 0.789  dice 0.912")
        two.start_cell({"id": "x"}, 3)
        board.bars.refresh()
        frame = capsys.readouterr().out.split("\x1b[2K")[-1]
        two.end("stopped in cell 'x'")
        one.end()
    assert [row.split()[0] for row in plain(frame).splitlines()] == ["01_one", "02_two"]
    assert "2/4" in frame and "3/5" in frame and "03_three" not in frame
    assert columns == 60 or "epoch 1/20" in frame
    rows = plain(frame).splitlines()
    assert columns == 60 or max(map(len, rows)) <= columns - 2  # room for the ^C of Ctrl-C
    last = plain(capsys.readouterr().out).splitlines()[-2:]
    assert "4/4" in last[0] and "epoch" not in last[0]
    assert "3/5" in last[1] and (columns == 60 or "stopped in" in last[1])


def plain(text):
    import re

    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).strip()

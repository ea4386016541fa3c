"""Tables of what was measured: a row is kept at once, read again, shown, compared and drawn."""


import numpy as np
import pytest

from unet_lib import tables, workspace

KEY = {"variant": "a", "seed": 0}


def test_remember_measures_once(tmp_path):
    path, calls = tmp_path / "deep" / "table.csv", []

    def measure():
        calls.append(1)
        return {"dice": 0.5, "note": ""}

    first = tables.remember(path, KEY, measure)
    assert first == tables.remember(path, KEY, measure) == KEY | {"dice": 0.5, "note": ""}
    assert tables.remember(path, KEY | {"seed": 1}, measure)["seed"] == 1
    assert len(calls) == 2 and len(tables.read(path)) == 2


@pytest.mark.parametrize("value", ["1e3", "0.10", "1_0", "nan", "007", "a, b", 0.1, 1e-3, 3])
def test_remember_knows_every_key_again(tmp_path, value):
    for _ in range(2):
        tables.remember(tmp_path / "t.csv", {"key": value, "k": "x"}, lambda: {"dice": 1})
    assert len(tables.read(tmp_path / "t.csv")) == 1


def test_remember_survives_an_interrupt(tmp_path):
    path = tmp_path / "table.csv"

    def interrupted():
        raise KeyboardInterrupt

    tables.remember(path, KEY, lambda: {"dice": 0.5})
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        tables.remember(path, KEY | {"seed": 1}, interrupted)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    tables.remember(path, KEY | {"seed": 1}, lambda: {"dice": 0.6})
    assert [row["dice"] for row in tables.read(path)] == [0.5, 0.6]


def test_a_kill_while_writing_leaves_the_old_table(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    tables.remember(path, KEY, lambda: {"dice": 0.5})
    before = path.read_bytes()

    def killed(*_):
        raise SystemExit

    monkeypatch.setattr(workspace.os, "replace", killed)
    with pytest.raises(SystemExit):
        tables.remember(path, KEY | {"seed": 1}, lambda: {"dice": 0.6})
    assert path.read_bytes() == before
    monkeypatch.undo()
    tables.remember(path, KEY | {"seed": 1}, lambda: {"dice": 0.7})
    assert [row["dice"] for row in tables.read(path)] == [0.5, 0.7]


def test_each_row_is_saved_before_the_next_is_measured(tmp_path):
    path, sizes = tmp_path / "table.csv", []

    def measure():
        sizes.append(len(tables.read(path)) if path.exists() else 0)
        return {"dice": 0.5}

    tasks = [(KEY | {"seed": k}, measure) for k in range(3)]
    assert [row["seed"] for row in tables.remember_all(path, tasks)] == [0, 1, 2]
    assert sizes == [0, 1, 2]


@pytest.mark.parametrize("cut", ["a,2,0.7\n", "a,2\n", "a,2,0.7,1,9,9\n"])
def test_a_damaged_row_is_measured_again_with_a_word(tmp_path, capsys, cut):
    path = tmp_path / "table.csv"
    path.write_text(f"variant,seed,dice,seconds\na,0,0.5,1\na,1,0.6,1\n{cut}")
    assert [row["dice"] for row in tables.read(path)] == [0.5, 0.6]
    assert "table.csv is damaged in row 3: what stands before it is taken" in (
        capsys.readouterr().out)
    tables.remember(path, KEY | {"seed": 2}, lambda: {"dice": 0.7, "seconds": 1})
    capsys.readouterr()
    assert [row["dice"] for row in tables.read(path)] == [0.5, 0.6, 0.7]
    assert capsys.readouterr().out == ""


def test_time_is_up_and_the_next_call_goes_on(tmp_path, capsys, monkeypatch):
    path, clock = tmp_path / "table.csv", iter(range(0, 10000, 50))  # each look is 50 s later
    monkeypatch.setattr(tables.time, "monotonic", lambda: next(clock))
    tasks = [(KEY | {"seed": k}, lambda: {"dice": 0.5}) for k in range(3)]
    assert len(list(tables.remember_all(path, tasks, minutes=1))) == 1
    assert "time is up; run it again" in capsys.readouterr().out
    assert len(list(tables.remember_all(path, tasks))) == 3  # 0 sets no limit
    assert capsys.readouterr().out == ""


def test_table_with_comments(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("# data: x\n# command: y, z\nname,dice,n,note\n\"a, b\",0.50,3,\n", "utf-8")
    assert tables.read(path) == [{"name": "a, b", "dice": 0.5, "n": 3, "note": ""}]
    assert isinstance(tables.read(path)[0]["n"], int)


def test_column_and_show(capsys):
    rows = [
        {"variant": "a", "dice": 0.5, "seconds": 3},
        {"variant": "b", "dice": 0, "seconds": 1},
        {"variant": "a", "dice": 0.7, "seconds": 5},
    ]
    assert tables.column(rows, "a").tolist() == [0.5, 0.7]
    assert tables.column(rows, "a", "seconds").tolist() == [3, 5]
    assert len(tables.column(rows, "none")) == 0
    tables.show(rows, ["b", "none", "a"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["s", "dice"] and lines[1].startswith("b ") and len(lines) == 3
    assert lines[2].split() == "a 4 0.600 (0.500–0.700)".split()
    assert len({len(line) for line in lines}) == 1


def test_a_difference_counts_where_no_seed_crosses_over():
    values = {"a": (0.5, 0.6), "b": (0.61, 0.7), "c": (0.55, 0.65), "d": (0.9,)}
    rows = [{"variant": v, "dice": x} for v, found in values.items() for x in found]
    said = [tables.difference(rows, *pair) for pair in ("ba", "ab", "ca", "ac", "da", "ax")]
    assert said == ["0.105 higher, ranges apart", "0.105 lower, ranges apart",
                    "0.050 higher, ranges overlap", "0.050 lower, ranges overlap",
                    "0.350 higher, one seed: no verdict", "not measured"]


def test_time_to_quality_joins_what_no_cheaper_recipe_equals():
    points = {"slow": (9, 0.9), "cheap": (1, 0.5), "worse": (5, 0.4), "good": (3, 0.8)}
    points |= {"dearer": (6, 0.8)}  # no better than "good"
    points = {name: tuple(np.array([value]) for value in pair) for name, pair in points.items()}
    ax = tables.time_to_quality(points, "Dice").axes[0]
    assert np.allclose(ax.lines[-1].get_xydata(), [[1, 0.5], [3, 0.2], [9, 0.1]])
    assert [text.get_text() for text in ax.texts] == list(points)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert not tables.time_to_quality({}, "Dice").axes[0].lines  # nothing measured yet


def test_time_to_quality_names_some_and_shows_the_range_over_seeds():
    points = {"a": (np.array([1.0, 3.0]), np.array([0.5, 0.7])), "b": (np.ones(1), np.ones(1) / 2)}
    ax = tables.time_to_quality(points, "Dice", named=["a"]).axes[0]
    assert [text.get_text() for text in ax.texts] == ["a"]
    assert np.allclose(ax.lines[0].get_xydata(), [[2, 0.3], [2, 0.5]])
    assert np.allclose(ax.lines[1].get_xydata(), [[2, 0.4]])


def test_labels_of_time_to_quality_stay_within_the_frame():
    """The dearest recipe of notebook 07 has the longest name."""
    points = {"cheap": (17, 0.93), "then images × 4": (115, 0.91), "good": (31, 0.95)}
    points = {name: tuple(np.array([value]) for value in pair) for name, pair in points.items()}
    figure = tables.time_to_quality(points, "Dice")
    figure.draw_without_rendering()
    frame = figure.axes[0].get_window_extent()
    for text in figure.axes[0].texts:
        drawn = text.get_window_extent()
        assert frame.x0 < drawn.x0 and drawn.x1 < frame.x1, text.get_text()


def test_ranges_show_mean_seeds_and_range_from_the_top():
    found = {"a": np.array([0.5, 0.7]), "+ b": np.array([0.9])}
    ax = tables.ranges(found, "Dice", beside="a").axes[0]
    line, seeds, mean = (drawn.get_xydata().tolist() for drawn in ax.lines[:3])
    assert line == seeds == [[0.5, 0], [0.7, 0]] and np.allclose(mean, [[0.6, 0]])
    assert [text.get_text() for text in ax.texts] == ["0.600", "0.900"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "+ b"]
    (band,) = ax.patches
    assert np.allclose([band.get_x(), band.get_x() + band.get_width()], [0.5, 0.7])
    assert ax.yaxis_inverted() and ax.get_xlabel() == "Dice"
    assert not tables.ranges({"a": np.array([0.5])}, "Dice").axes[0].patches

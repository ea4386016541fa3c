"""What a sweep's results say, on tables whose answers are known."""

import csv

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import integrate, stats

from unet_lib import runs, workspace
from unet_lib.series import points, study

ROWS = [  # width, loss, seed, Dice
    (4, "bce", 0, 0.5), (4, "bce", 1, 0.7), (8, "bce", 0, 0.8), (8, "bce", 1, 0.82),
    (8, "focal", 0, 0.9), (8, "focal", 1, None),
]  # fmt: skip


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def row(width, loss, seed, dice):
    status = "failed" if dice is None else "done"
    return {"point": f"p-{width}-{loss}-{seed}", "width": width, "loss": loss, "seed": seed,
            "status": status, "dice": "" if dice is None else dice, "epochs": 3}


@pytest.fixture
def rows():
    return [row(*line) for line in ROWS]


def test_results_are_read_as_they_were_meant(tmp_path):
    with (tmp_path / "results.csv").open("w") as file:
        csv.writer(file).writerows([["point", "width", "rate", "augment", "loss", "reason"],
                                    ["a", "4", "0.001", "true", "bce", ""]])
    (found,) = study.read(tmp_path / "results.csv")
    assert found == {"point": "a", "width": 4, "rate": 0.001, "augment": True, "loss": "bce",
                     "reason": ""}
    assert type(found["width"]) is int and found["augment"] is True


def test_seeds_and_folds_are_repeats_and_other_splits_are_not(rows):
    assert study.varied(rows) == ["width", "loss"]
    for first, second, expected in (("1/2", "2/2", []), ("last", "2/2", ["split"])):
        folds = [{"point": "a", "split": first, "seed": 0, "status": "done"},
                 {"point": "b", "split": second, "seed": 0, "status": "done"}]
        assert study.varied(folds) == expected
    assert study.setting(folds[0], []) == "the only setting"


def test_mean_and_range_of_each_setting(rows):
    first, second, third = study.summarize(rows)
    assert first == {"setting": "width 4, loss bce", "mean": pytest.approx(0.6), "low": 0.5,
                     "high": 0.7, "done": 2, "asked": 2}
    assert second["mean"] == pytest.approx(0.81)
    assert (third["setting"], third["mean"], third["done"], third["asked"]) == (
        "width 8, loss focal", 0.9, 1, 2)
    assert study.best(study.summarize(rows)) == third


def test_a_setting_of_which_nothing_is_done_has_no_numbers(rows):
    failed = [row(16, "bce", 0, None)]
    assert study.summarize(failed) == [{"setting": "the only setting" if not study.varied(failed)
                                        else "width 16, loss bce", "mean": None, "low": None,
                                        "high": None, "done": 0, "asked": 1}]
    assert study.best(study.summarize(failed)) is None


def test_the_deviation_is_that_around_each_settings_own_mean(rows):
    """Two settings with two runs each: two degrees of freedom; a single run adds none."""
    squares = 2 * 0.1**2 + 2 * 0.01**2
    assert study.deviation(rows) == pytest.approx((squares / 2) ** 0.5)
    assert study.deviation([rows[0], rows[2]]) is None
    many = [row(w, "bce", s, 0.5 + 0.1 * w + 0.02 * noise) for s in range(40)
            for w, noise in zip((1, 2, 3), np.random.default_rng(s).normal(size=3), strict=True)]
    assert study.deviation(many) == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize("count", [1, 2, 6, 30])
def test_the_expected_maximum_is_the_integral(count):
    def share(x):
        return x * count * stats.norm.pdf(x) * stats.norm.cdf(x) ** (count - 1)

    exact, _ = integrate.quad(share, -9, 9)
    assert study.expected_maximum(count, 0.1) == pytest.approx(0.1 * exact, abs=0.005)


def test_images_are_means_over_seeds_whatever_their_order(tmp_path):
    for name, ids, dice in (("a", ["x", "y"], [0.5, 0.7]), ("b", ["y", "x"], [0.9, 0.6])):
        workspace.write_json(tmp_path / name / points.DONE, {"metrics": {"per_image": {
            "ids": ids, "dice": dice}}})
    found = study.images(tmp_path, [{"point": "a"}, {"point": "b"}])
    assert found == {"x": pytest.approx(0.55), "y": pytest.approx(0.8)}


def test_the_highest_setting_is_compared_with_the_first_image_by_image(tmp_path, rows):
    assert study.paired_figure(tmp_path, rows) is None  # nothing is known of single images
    for line in (line for line in rows if line["status"] == "done"):
        dice = [line["dice"], line["dice"] + 0.05 * (line["width"] == 8)]
        workspace.write_json(tmp_path / line["point"] / points.DONE, {"metrics": {"per_image": {
            "ids": ["x", "y"], "dice": dice}}})
    figure = study.paired_figure(tmp_path, rows)
    (ax,) = figure.axes
    (dots,) = (line for line in ax.lines if line.get_marker() == "o")
    assert list(dots.get_xdata()) == pytest.approx([0.3, 0.35])  # 0.9 and 0.95, both over 0.6
    (mean,) = (line for line in ax.lines if line.get_marker() == "D")
    assert list(mean.get_xdata()) == pytest.approx([0.325])
    assert ax.get_xlabel() == "gain in Dice of width 8, loss focal\nover width 4, loss bce"
    assert study.paired_figure(tmp_path, rows[:2]) is None  # the first is the highest
    assert study.paired_figure(tmp_path, rows[-1:]) is None  # nothing is done


def test_each_parameter_has_a_panel_with_every_run(rows):
    figure = study.parameter_figure(rows)
    width, loss = figure.axes
    assert (width.get_xlabel(), loss.get_xlabel()) == ("width", "loss")
    assert [t.get_text() for t in loss.get_xticklabels()] == ["bce", "focal"]
    assert list(width.get_xticks()) == [4, 8]
    for ax in (width, loss):
        dots = [y for line in ax.lines if line.get_marker() == "o" for y in line.get_ydata()]
        assert sorted(dots) == [0.5, 0.7, 0.8, 0.82, 0.9]
    diamonds = {line.get_xdata()[0]: line.get_ydata()[0] for line in width.lines
                if line.get_marker() == "D"}
    assert diamonds == {4: pytest.approx(0.6), 8: pytest.approx((0.8 + 0.82 + 0.9) / 3)}
    assert width.get_ylabel() == "validation Dice" and width.get_xscale() == "linear"


def test_numbers_far_apart_lie_on_a_logarithmic_axis_and_truth_is_no_number():
    far = [row(w, "bce", 0, 0.5) | {"augment": w > 4} for w in (1, 10)]
    far = [{k: r[k] for k in ("point", "width", "augment", "status", "dice")} for r in far]
    width, augment = study.parameter_figure(far).axes
    assert width.get_xscale() == "log" and augment.get_xscale() == "linear"
    assert [t.get_text() for t in augment.get_xticklabels()] == ["False", "True"]


def test_an_axis_with_many_values_labels_some(rows):
    many = [row(w, "bce", s, 0.5) for w in range(1, 26) for s in (0, 1)]
    (ax,) = study.parameter_figure(many).axes
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert labels[:2] == ["1", "5"] and len(labels) == 7
    assert sum(line.get_marker() == "D" for line in ax.lines) == 25


def test_nothing_that_varies_is_no_figure(rows):
    assert study.parameter_figure(rows[:2]) is None
    assert study.parameter_figure([row(16, "bce", 0, None)]) is None


def test_curves_of_all_runs_the_best_settings_in_lines_of_their_own(tmp_path, rows):
    many = rows[:4] + [row(10 + k, "bce", 0, 0.1 * k) for k in range(4)]
    for k, each in enumerate(many):
        values = dict.fromkeys(runs.COLUMNS, [1.0, 2.0]) | {"val_dice": [0.1, k / 10]}
        runs.write_history(tmp_path / each["point"], values)
    figure = study.curves_figure(tmp_path, many)
    (ax,) = figure.axes
    assert sorted(line.get_ydata()[1] for line in ax.lines) == [k / 10 for k in range(8)]
    grey = [line for line in ax.lines if line.get_color() == "0.8"]
    assert [line.get_ydata()[1] for line in grey] == [0.4, 0.5]  # the two worst, worst first
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown == ["width 8, loss bce", "width 4, loss bce", "width 13, loss bce",
                     "width 12, loss bce"]


def test_no_curve_no_figure(tmp_path, rows):
    assert study.curves_figure(tmp_path, rows) is None

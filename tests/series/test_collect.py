"""What a sweep's points come to."""

import csv

import pytest
import toys

from unet_lib import workspace
from unet_lib.series import collect, points, study, sweep


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return toys.write(tmp_path, monkeypatch)


def asked(folder, text):
    file = folder.parent / "study.yaml"
    file.write_text(text)
    return sweep.read(file, folder=folder)


def finish(point, dice, *, classes=None, external=None, **more):
    """Pretend that a point has run: its images' Dice, and what notebook 05 may say beside it."""
    scores = {"validation": {"dice": {"mean": sum(dice) / len(dice), "low": 0.1, "high": 0.9}},
              "per_image": {"ids": [f"{k}" for k in range(len(dice))], "dice": dice},
              "external": external or {"dataset": ""},
              "run": point.run.name}  # which notebook 05 writes there
    if classes:
        scores["validation"]["classes"] = {k: {"dice": {"mean": v}} for k, v in classes.items()}
    record = {"ok": True, "metrics": scores, "parameters": {"width": 16, "head": "direct"},
              "seconds": 3.5, "memory_mb": 800, "commit": "abc", "data_sha256": "1",
              "hardware": {"cpu": "some", "cores": 2}}
    folder = workspace.run_dir(point.run.name)
    folder.mkdir(parents=True)
    workspace.write_json(folder / points.DONE, record | more)


def table(name):
    with (workspace.run_dir("study") / name).open() as file:
        return list(csv.DictReader(file))


def test_one_line_a_point_and_why_one_is_missing(folder, capsys):
    study = asked(folder, "grid: {width: [4, 8, 9]}")
    finish(study.points[0], [0.25, 0.75])
    broken = workspace.run_dir(study.points[1].run.name)
    broken.mkdir()
    workspace.write_json(broken / points.FAILED, {"reason": "04_train, cell fit: no memory"})
    assert collect.write(workspace.run_dir("study"), study) == 1
    first, second, third = table("results.csv")
    assert (first["status"], first["dice"], first["dice_low"], first["seconds"]) == (
        "done", "0.5", "0.1", "3.5")
    assert (first["width"], first["head"], first["cpu"], first["cores"]) == (
        "4", "direct", "some", "2")
    assert (second["status"], second["reason"]) == ("failed", "04_train, cell fit: no memory")
    assert (third["status"], third["reason"]) == ("missing", "it did not run")
    shown, told = capsys.readouterr()
    made = "1 of 3 points done: runs/study/results.csv, runs/study/results.html"
    assert made in shown.replace("\n", "")
    line = next(line for line in shown.splitlines() if "width 4" in line)
    assert line.replace("│", " ").split() == ["width", "4", "done", "0.5000", "4"]
    assert "no memory" in told and "it did not run" in told


def test_classes_and_external_data_have_columns_of_their_own(folder):
    """Also where only some points have them; the page and the setting's table go on as before."""
    study_file = asked(folder, "grid: {width: [4, 8]}")
    elsewhere = {"dataset": "other", "dice": {"mean": 0.4, "low": 0.3, "high": 0.45, "n": 9}}
    finish(study_file.points[0], [0.25, 0.75], external=elsewhere,
           classes={"right lung": 0.6, "low": 0.3})  # a class may have any name
    finish(study_file.points[1], [0.5, 0.75])
    assert collect.write(workspace.run_dir("study"), study_file) == 0
    several, one = study.read(workspace.run_dir("study") / "results.csv")
    wanted = {"dice": 0.5, "dice_low": 0.1, "dice:right lung": 0.6, "dice:low": 0.3,
              "external_dataset": "other", "external_dice": 0.4, "external_dice_low": 0.3,
              "external_dice_high": 0.45}
    assert {name: several[name] for name in wanted} == wanted
    assert one["dice"] == 0.625 and not any(one[name] for name in list(wanted)[2:])
    assert study.varied([several, one]) == ["width"]
    page = (workspace.run_dir("study") / "results.html").read_text("utf-8")
    assert "width 8 (highest)" in page


def test_without_classes_or_external_data_there_are_no_such_columns(folder):
    study_file = asked(folder, "seeds: [0]")
    finish(study_file.points[0], [0.5])
    collect.write(workspace.run_dir("study"), study_file)
    assert not [name for name in table("results.csv")[0] if ":" in name or "external" in name]


def test_what_varies_anywhere_stands_in_every_line_before_the_status(folder):
    """With the value that a point has of it, also by default, and also if it failed."""
    study = asked(folder, "base: {width: 5}\ngrid: {seed: [0, 1]}\npoints: [{width: 4}]")
    finish(study.points[0], [0.25, 0.75])
    collect.write(workspace.run_dir("study"), study)
    rows = table("results.csv")
    assert list(rows[0])[:4] == ["point", "seed", "width", "status"]
    assert [(row["seed"], row["width"]) for row in rows] == [("0", "5"), ("1", "5"), ("0", "4")]


def test_the_page_is_made_of_a_sweep_that_failed_as_well(folder):
    study = asked(folder, "grid: {width: [4, 8]}")
    finish(study.points[0], [0.25, 0.75])
    assert collect.write(workspace.run_dir("study"), study) == 1
    page = (workspace.run_dir("study") / "results.html").read_text("utf-8")
    assert "width 4 (highest)" in page and "it did not run" in page


def test_data_that_cannot_be_made_are_the_reason(folder):
    study = asked(folder, "seeds: [0]")
    (workspace.run_dir("study") / "data").mkdir(parents=True)
    workspace.write_json(workspace.run_dir("study") / "data" / f"toys.{points.FAILED}",
                         {"reason": "the source is empty"})
    assert collect.write(workspace.run_dir("study"), study) == 1
    assert table("results.csv")[0]["reason"] == "the source is empty"


def test_folds_are_pooled_over_images_and_only_when_all_are_there(folder):
    study = asked(folder, "folds: 2\nseeds: [0, 1]")
    by = {(p.varied["split"], p.varied["seed"]): p for p in study.points}
    finish(by["1/2", 0], [0.9, 0.8])
    finish(by["2/2", 0], [0.1])  # the mean over images, not over folds
    finish(by["1/2", 1], [0.5])
    assert collect.write(workspace.run_dir("study"), study) == 1
    (row,) = table("folds.csv")
    assert (row["seed"], row["folds"], row["images"], row["dice_mean"]) == ("0", "2", "3", "0.6")
    assert 0.1 <= float(row["dice_low"]) < 0.6 < float(row["dice_high"]) <= 0.9


def test_equal_results_are_told(folder, capsys):
    study = asked(folder, "seeds: [0, 1]")
    for point in study.points:
        finish(point, [0.5, 0.6])
    assert collect.write(workspace.run_dir("study"), study) == 1
    assert "have the same results to the last digit" in capsys.readouterr().err

"""One job of a sweep: what it writes, and when it does nothing."""

import json

import pytest
import toys

from unet_lib import workspace
from unet_lib.series import points, sweep


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return toys.write(tmp_path, monkeypatch)


@pytest.fixture
def study(folder):
    """A sweep of widths 4 and 13, planned, its data made."""
    file = folder.parent / "study.yaml"
    file.write_text("grid: {width: [4, 13]}")
    asked = sweep.read(file, folder=folder)
    home = workspace.run_dir("study")
    points.write_plan(home / "plan.json", asked.points, asked.makers, file=file)
    assert job(home, "data", "toys") == 0
    return home, [point.name for point in asked.points]


def job(home, kind, name):
    return points.main([str(home / "plan.json"), kind, name])


def test_a_finished_point_says_so_last_and_is_left_alone(study):
    home, (name, _) = study
    assert job(home, "point", name) == 0
    done = json.loads((home / name / "point.json").read_text())
    assert done["ok"] and done["varied"] == {"width": 4} == done["parameters"]
    assert done["metrics"]["validation"]["dice"]["mean"] == 0.04 and done["seconds"] > 0
    newest = max((p.stat().st_mtime_ns, p.name) for p in (home / name).iterdir() if p.is_file())
    assert newest[1] == "point.json" and done["memory_mb"] > 10
    assert job(home, "point", name) == 0
    assert (home / name / "trained").read_text() == "x"
    assert not (home / name / points.BEGUN).exists()


def test_a_failed_point_says_where_and_why(study, capsys):
    home, (_, name) = study
    assert job(home, "point", name) == 1
    failed = json.loads((home / name / "failed.json").read_text())
    assert not failed["ok"] and not (home / name / "point.json").exists()
    for word in ("04_train", "cell-0", "MemoryError: 13 is unlucky"):
        assert word in failed["reason"] and word in capsys.readouterr().err + failed["reason"]
    assert not (home / name / points.BEGUN).exists()


def test_a_half_written_point_is_none(study):
    home, (name, _) = study
    for text in ("", '{"ok": tr', '{"ok": false}', "[]"):
        (home / name).mkdir(exist_ok=True)
        (home / name / "point.json").write_text(text)
        assert job(home, "point", name) == 0
        assert json.loads((home / name / "point.json").read_text())["ok"]
    assert (home / name / "trained").read_text() == "xxxx"


def test_unchanged_data_keep_their_time_and_changed_data_set_runs_aside(study, folder, capsys):
    home, (name, _) = study
    assert job(home, "point", name) == 0
    before = (home / "data" / "toys.json").stat().st_mtime_ns
    assert job(home, "data", "toys") == 0
    assert (home / "data" / "toys.json").stat().st_mtime_ns == before
    (folder.parent / "state.txt").write_text("two")
    assert job(home, "data", "toys") == 0
    assert (home / "data" / "toys.json").stat().st_mtime_ns > before
    assert job(home, "point", name) == 0 and (home / name / "trained").read_text() == "x"
    assert (home / f"{name}.old-1" / "trained").read_text() == "x"  # nothing is lost
    assert "the data changed" in capsys.readouterr().out


def test_a_run_that_used_something_else_is_no_point(study, folder):
    home, (name, _) = study
    source = (folder / "04_train.ipynb").read_text()
    (folder / "04_train.ipynb").write_text(
        source.replace('\\"width\\": width', '\\"width\\": 16'))  # the default won
    assert job(home, "point", name) == 1
    reason = json.loads((home / name / "failed.json").read_text())["reason"]
    assert reason.endswith("the run is not the point: width 4 was asked for, 16 used")


def test_a_judgement_of_another_epoch_is_none_of_the_point(folder):
    file = folder.parent / "study.yaml"
    file.write_text("grid: {width: [4]}\nbase: {judged_epoch: last}")
    asked = sweep.read(file, folder=folder)
    home, (point,) = workspace.run_dir("study"), asked.points
    points.write_plan(home / "plan.json", asked.points, asked.makers, file=file)
    source = (folder / "05_evaluate.ipynb").read_text()
    assert job(home, "data", "toys") == 0 == job(home, "point", point.name)
    (home / point.name / "point.json").unlink()
    (folder / "05_evaluate.ipynb").write_text(
        source.replace('\\"judged_epoch\\": judged_epoch', '\\"judged_epoch\\": \'best\''))
    assert job(home, "point", point.name) == 1
    reason = json.loads((home / point.name / "failed.json").read_text())["reason"]
    assert reason.endswith("judged_epoch 'last' was asked for, 'best' used")

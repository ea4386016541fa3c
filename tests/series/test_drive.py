"""What a sweep does around Snakemake; tests/slow/test_sweeps.py runs whole ones."""

import os

import pytest
import toys

from unet_lib import datasets, workspace
from unet_lib.series import drive, plan, points, sweep


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return toys.write(tmp_path, monkeypatch)


def test_without_snakemake_nothing_begins(folder, monkeypatch):
    monkeypatch.setattr(drive, "_path", lambda: "/nowhere")
    told = r"sweeps need Snakemake: .+ -m pip install -e '.\[batch\]'"
    with pytest.raises(plan.Refused, match=told):
        drive.run(toys.study(folder, "seeds: [0]"), folder=folder)
    assert not workspace.run_dir("study").exists()


def test_more_cores_than_there_are_would_run_as_many_points_at_once(folder, monkeypatch):
    monkeypatch.setattr(drive.os, "cpu_count", lambda: 4)
    file = toys.study(folder, "grid: {width: [4]}")
    for begin in (drive.run, drive.preview):  # before a step is timed or a point runs
        with pytest.raises(plan.Refused, match="--cores 5 is more than the 4 of this machine; use"):
            begin(file, cores=5, folder=folder)
    monkeypatch.setattr(drive.shutil, "which", lambda *_, **__: None)  # it would begin now
    for cores, profile in ((4, "local"), (5, "slurm")):
        with pytest.raises(plan.Refused, match="sweeps need Snakemake"):
            drive.run(file, cores=cores, profile=profile, folder=folder)


def test_threads_are_divided_among_the_points(folder):
    home = workspace.run_dir("study")
    for cores, waiting, wanted in ((2, 5, 1), (8, 2, 4), (4, 1, 4), (4, 0, 4)):
        options = drive._options(home, cores=cores, profile="local", waiting=waiting)
        assert f"threads={wanted}" in options
        assert options[options.index("--cores") + 1] == str(cores)


def test_a_cluster_gives_each_job_all_the_cores_asked_for(folder):
    options = drive._options(workspace.run_dir("s"), cores=4, profile="slurm", waiting=9)
    assert "threads=4" in options and any(o.endswith("profiles/slurm") for o in options)


def test_a_preview_says_steps_hours_and_memory_and_writes_nothing(folder, capsys, monkeypatch):
    monkeypatch.setattr(plan, "defaults", lambda n, real=plan.defaults: {
        **real(n), **({"epochs": 3, "batch_size": 4} if n.stem == "04_train" else {})})
    timed = []
    monkeypatch.setattr(drive, "_probe", lambda kind: timed.append(kind) or (2.0, 800.0))
    file = toys.study(folder, "grid: {width: [4, 8], seed: [0, 1]}")
    assert drive.preview(file, folder=folder) == 0
    assert [kind["width"] for kind in timed] == [4, 8]  # once for each kind of model
    shown = capsys.readouterr().out
    steps = 3 * 3  # 9 of 12 phantoms train, by fours
    assert f" {steps} " in shown and f" {2 * steps} " in shown
    assert "4 points, 1 data sets; training 0.02 h" in shown and "800 MB" in shown
    assert not workspace.run_dir("study").exists()
    monkeypatch.setattr(drive.os, "cpu_count", lambda: 4)
    assert drive.preview(file, cores=5, profile="slurm", folder=folder) == 0  # of each job
    assert "on the 4 cores here" in capsys.readouterr().out  # which have timed the steps


def test_a_preview_counts_only_the_pairs_that_train(folder, capsys, monkeypatch):
    more = {"epochs": 3, "batch_size": 4, "training_pairs": 5}
    monkeypatch.setattr(plan, "defaults", lambda n, real=plan.defaults: {
        **real(n), **(more if n.stem == "04_train" else {})})
    monkeypatch.setattr(drive, "_probe", lambda kind: (2.0, 800.0))
    assert drive.preview(toys.study(folder, "grid: {width: [4]}"), folder=folder) == 0
    assert " 6 " in capsys.readouterr().out  # three times two batches of up to four


def test_a_fold_trains_on_what_it_does_not_hold(folder):
    asked = sweep.read(toys.study(folder, "folds: 3"), folder=folder)
    assert [drive._pairs(maker, name) for name, maker in asked.makers.items()] == [8, 8, 8]  # of 12


def test_a_preview_does_not_count_the_pairs_of_other_data_of_that_name(folder):
    asked = sweep.read(toys.study(folder, "folds: 3"), folder=folder)
    ((name, maker), *_) = asked.makers.items()
    split = {"train": [], "validation": []}
    made = {"format": 1, "dataset": name, "split": split, "test": [], "items": []}
    manifest = {**made, **datasets.record(maker.data)}
    manifest["data_sha256"] = datasets.data_hash(manifest)
    workspace.data_dir(name).mkdir(parents=True)
    workspace.write_json(workspace.data_dir(name) / "manifest.json", manifest)
    assert drive._pairs(maker, name) == 0
    manifest |= datasets.record({**maker.data, "phantoms": 99})
    workspace.write_json(workspace.data_dir(name) / "manifest.json", manifest)
    assert drive._pairs(maker, name) == 8


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands for Snakemake")
def test_snakemake_writes_nothing_into_the_home_folder(folder, tmp_path, monkeypatch):
    """There are machines where nobody may write to HOME; each point seemed to have no memory."""
    script = tmp_path / "bin" / "snakemake"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\necho "$XDG_CACHE_HOME"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setattr(drive, "_path", lambda: str(script.parent))
    home = workspace.run_dir("study")
    home.mkdir(parents=True)
    arguments = ["points", *drive._options(home, cores=1, profile="local", waiting=1)]
    assert drive._snakemake(arguments, home, drive._Board(home, []), None) == 0
    assert (home / "snakemake.log").read_text() == f"{home}/.snakemake/cache\n"


def test_the_board_counts_and_speaks_when_something_changed(folder, capsys):
    home = workspace.run_dir("study")
    for name in "abc":
        (home / name).mkdir(parents=True)
    board = drive._Board(home, list("abc"))
    board.show()
    board.show()
    (home / "a" / points.DONE).touch()
    (home / "b" / points.BEGUN).touch()
    (home / "c" / points.FAILED).touch()
    board.show()
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("0 of 3 points done, 0 running, 0 failed")
    assert "1 of 3 points done, 1 running, 1 failed, about 0 min left" in second


def test_jobs_that_end_without_a_word_are_begun_again_once(folder, monkeypatch, capfd):
    """Snakemake's part is played: one point fails, one is killed once, another data set always."""
    calls, home = [], workspace.run_dir("study")
    asked = toys.study(folder, "points: [{width: 4}, {width: 5}, {phantoms: 13, width: 8}]")
    fine, killed, _ = sweep.read(asked, folder=folder).points

    def play(arguments, *_):
        calls.append(arguments[0])
        if calls == ["data_sets"]:
            (home / "data").mkdir()
            (home / "data" / f"{fine.dataset}.looked").touch()
        if calls[-1] == "points":
            for point in (fine, killed):
                (home / point.name).mkdir(exist_ok=True)
            workspace.write_json(home / fine.name / points.FAILED, {"reason": "by itself"})
            begun = home / killed.name / points.BEGUN
            assert not begun.exists()  # of a job that is no more
            begun.touch()
            if calls.count("points") == 2:
                workspace.write_json(home / killed.name / points.DONE, {
                    "ok": True, "parameters": {"width": 5},
                    "metrics": {"validation": {"dice": {"mean": 0.5}}}})  # fmt: skip
        return 1

    monkeypatch.setattr(drive, "_path", lambda: str(folder))
    (folder / "snakemake").write_text("")
    (folder / "snakemake").chmod(0o755)
    monkeypatch.setattr(drive, "_snakemake", play)
    assert drive.run(asked, folder=folder) == 1
    assert calls == ["data_sets"] * 2 + ["points"] * 2
    told = capfd.readouterr().err
    assert f"{fine.name}: failed: by itself" in told and killed.name not in told
    assert "its job was killed or could not start, twice" in told and "study/data" in told
    (home / fine.name / points.DONE).write_text('{"ok": tr')  # cut short: no result
    drive._forget(home)
    left = sorted(p.name for p in home.rglob("*") if p.is_file())
    assert left == ["plan.json", "point.json", "results.csv", "results.html"]

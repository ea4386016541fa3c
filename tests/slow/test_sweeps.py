"""Sweeps by Snakemake, from the file to results.csv, on toy notebooks."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "series"))

import toys  # noqa: E402

from unet_lib import workspace  # noqa: E402
from unet_lib.series import drive, plan  # noqa: E402

pytest.importorskip("snakemake", reason="Snakemake is not installed: pip install -e '.[batch]'")
CALL = """import sys; from pathlib import Path; from unet_lib.series import drive
sys.exit(drive.run(sys.argv[1], cores=2, folder=Path(sys.argv[2])))"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return toys.write(tmp_path, monkeypatch)


def results():
    with (workspace.run_dir("study") / "results.csv").open() as file:
        return list(csv.DictReader(file))


def trained():
    """How often each point was trained, by its width."""
    return {p.parent.name.split("_")[0]: p.read_text()
            for p in workspace.run_dir("study").glob("*/trained")}


def test_a_sweep_does_what_is_missing_and_no_more(folder, capfd):
    file = toys.study(folder, "grid: {width: [4, 13, 8]}")
    assert drive.run(file, cores=2, folder=folder) == 1  # one fails, and stops no other
    assert [(row["width"], row["status"], row["dice"]) for row in results()] == [
        ("4", "done", "0.04"), ("13", "failed", ""), ("8", "done", "0.08")]
    assert "13 is unlucky" in results()[1]["reason"]
    shown, told = capfd.readouterr()
    assert "2 of 3 points done" in shown and "04_train" in told
    file = toys.study(folder, "grid: {width: [4, 12, 8]}")  # the same points but for one
    assert drive.run(file, cores=2, folder=folder) == 0
    assert trained() == {"width-4": "x", "width-12": "x", "width-8": "x"}
    assert [row["dice"] for row in results()] == ["0.04", "0.12", "0.08"]
    (folder.parent / "state.txt").write_text("two")  # other data: all of them again
    assert drive.run(file, cores=2, folder=folder) == 0
    assert len({row["data_sha256"] for row in results()}) == 1
    assert len(list(workspace.run_dir("study").glob("*.old-1"))) == 3


def test_another_file_of_the_same_name_is_refused(folder, monkeypatch):
    monkeypatch.setattr(drive, "_snakemake", lambda *_: 0)  # no job is needed to see it
    file = Path(toys.study(folder, "grid: {width: [4]}"))
    drive.run(str(file), cores=2, folder=folder)
    other = file.with_name("elsewhere") / file.name
    other.parent.mkdir()
    other.write_text("grid: {width: [8]}")
    with pytest.raises(plan.Refused, match="holds the points of .*give one of the two files anoth"):
        drive.run(str(other), cores=2, folder=folder)
    plans = workspace.run_dir("study") / "plan.json"
    assert "width-4" in plans.read_text() and "width-8" not in plans.read_text()
    file.unlink()  # it was moved: the folder is its own
    drive.run(str(other), cores=2, folder=folder)
    assert "width-8" in plans.read_text()


def test_a_killed_sweep_goes_on(folder):
    file = toys.study(folder, "grid: {width: [1, 2, 3, 4, 5]}")
    command = [sys.executable, "-c", CALL, file, str(folder)]
    started = subprocess.Popen(command, start_new_session=True)
    home, deadline = workspace.run_dir("study"), time.monotonic() + 400
    while not (list(home.glob("*/.begun")) and list(home.glob("*/point.json"))):
        assert time.monotonic() < deadline and started.poll() is None
        time.sleep(0.1)
    kill_all(started.pid)
    started.wait()
    made = {p: p.stat().st_mtime_ns for p in home.glob("*/point.json")}
    assert not (home / "results.csv").exists() and 1 <= len(made) < 5
    assert subprocess.run(command).returncode == 0
    assert [row["dice"] for row in results()] == ["0.01", "0.02", "0.03", "0.04", "0.05"]
    assert {p: p.stat().st_mtime_ns for p in made} == made


def test_what_a_killed_driver_has_begun_is_waited_for(folder, capfd):
    file = toys.study(folder, "grid: {width: [1, 2, 3, 2000]}")  # the last takes 20 s
    started = subprocess.Popen([sys.executable, "-c", CALL, file, str(folder)])
    home, deadline = workspace.run_dir("study"), time.monotonic() + 400
    while not list(home.glob("width-2000*/.begun")):
        assert time.monotonic() < deadline and started.poll() is None
        time.sleep(0.1)
    started.kill()  # its Snakemake goes on
    started.wait()
    capfd.readouterr()
    assert drive.run(file, cores=2, folder=folder) == 0
    assert "another call works on" in capfd.readouterr().err
    assert trained() == {f"width-{width}": "x" for width in (1, 2, 3, 2000)}


def kill_all(pid: int) -> None:
    """Kill a process and all that it started, the youngest last, without a word to any."""
    tree = {}
    for line in subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True,
                               text=True).stdout.splitlines():  # fmt: skip
        child, parent = map(int, line.split())
        tree.setdefault(parent, []).append(child)
    todo = [pid]
    for each in todo:
        todo += tree.get(each, [])
    for each in todo:
        os.kill(each, signal.SIGKILL)


def test_data_that_cannot_be_made_stop_no_other_data(folder, capfd):
    file = toys.study(folder, "points: [{phantoms: 13, width: 4}, {phantoms: 12, width: 8}]")
    assert drive.run(file, cores=2, folder=folder) == 1
    assert [row["status"] for row in results()] == ["failed", "done"]
    told = capfd.readouterr().err
    for word in ("01_restructure_dataset", "cell-0", "ValueError: 13 are unlucky"):
        assert word in results()[0]["reason"] and word in told
    maker = folder / "01_restructure_dataset.ipynb"
    maker.write_text(maker.read_text().replace("== 13", "== 0"))
    assert drive.run(file, cores=2, folder=folder) == 0
    assert trained() == {"phantoms-13": "x", "phantoms-12": "x"}
    maker.write_text(maker.read_text().replace("== 0", "> 0"))  # a source that is lost later
    assert drive.run(file, cores=2, folder=folder) == 1
    assert [row["status"] for row in results()] == ["done", "done"]


def test_a_killed_worker_is_begun_again_once(folder):
    """By a training that kills its worker, the first or every time, and its kernel with it."""
    file = toys.study(folder, "grid: {width: [4, 71, 72]}")
    assert drive.run(file, cores=2, folder=folder) == 1
    assert [(row["width"], row["status"]) for row in results()] == [
        ("4", "done"), ("71", "done"), ("72", "failed")]
    assert "its job was killed or could not start, twice" in results()[2]["reason"]


def test_equal_results_of_different_points_are_told(folder, capsys):
    file = toys.study(folder, "grid: {seed: [0, 1]}")  # the toys know no seed
    assert drive.run(file, cores=2, folder=folder) == 1
    assert "have the same results to the last digit" in capsys.readouterr().err


def test_the_point_of_a_real_sweep(tmp_path, monkeypatch):
    """One epoch of the smoke recipe, by the command itself."""
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    (tmp_path / "tiny.yaml").write_text(
        "base: {params: notebooks/params/smoke.yaml, epochs: 1}\ngrid: {width: [2]}")
    command = [sys.executable, "-m", "unet_lib", "sweep", str(tmp_path / "tiny.yaml")]
    shown = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True,
                           cwd=workspace.PROJECT).stdout  # fmt: skip
    assert "1 points, 1 data sets" in shown and not (tmp_path / "runs").exists()
    assert subprocess.run(command, cwd=workspace.PROJECT).returncode == 0
    (done,) = tmp_path.glob("runs/tiny/*/point.json")
    done = json.loads(done.read_text())
    assert done["parameters"]["width"] == 2
    assert 0 <= done["metrics"]["validation"]["dice"]["mean"] <= 1

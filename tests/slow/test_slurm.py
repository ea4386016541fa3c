"""A sweep through a real scheduler: SLURM on this machine, with toy notebooks."""

import csv
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "series"))

import toys  # noqa: E402

from unet_lib import workspace  # noqa: E402

pytest.importorskip("snakemake_executor_plugin_slurm", reason="it needs: pip install -e '.[batch]'")
CALL = """import sys; from pathlib import Path; from unet_lib.series import drive
sys.exit(drive.run(sys.argv[1], cores=1, profile="slurm", folder=Path(sys.argv[2])))"""


def jobs():
    """Return number, state and comment of all jobs, those that have ended too."""
    shown = subprocess.run(["squeue", "--states=all", "--noheader", "--format=%i|%T|%k"],
                           check=True, capture_output=True, text=True).stdout  # fmt: skip
    return [tuple(line.split("|")) for line in shown.splitlines()]


def results():
    with (workspace.run_dir("study") / "results.csv").open() as file:
        return {row["width"]: row for row in csv.DictReader(file)}


def submitted():
    return len(re.findall("has been submitted with SLURM jobid",
                          (workspace.run_dir("study") / "snakemake.log").read_text()))


def test_six_points_one_cancelled_one_failing(slurm, tmp_path, monkeypatch):
    folder = toys.write(tmp_path, monkeypatch)
    file = toys.study(folder, "grid: {width: [4, 6, 8, 9, 13, 2000]}")  # 13 fails, 2000 takes 20 s
    command = [sys.executable, "-c", CALL, file, str(folder)]
    sweep = subprocess.Popen(command)
    home, deadline = workspace.run_dir("study"), time.monotonic() + 600
    while not (found := [number for number, state, comment in jobs()
                         if state == "RUNNING" and "width-2000" in comment]
               ) or not list(home.glob("width-2000_*/.begun")):  # fmt: skip
        assert time.monotonic() < deadline and sweep.poll() is None
        time.sleep(0.2)
    subprocess.run(["scancel", *found], check=True)
    assert sweep.wait(timeout=900) == 1
    ended = [(state, comment) for _, state, comment in jobs() if "width-2000" in comment]
    assert [state for state, _ in sorted(ended)] == ["CANCELLED", "COMPLETED"]
    found = results()
    assert {width for width, row in found.items() if row["status"] == "done"} == {
        "4", "6", "8", "9", "2000"}
    assert found["13"]["status"] == "failed"
    for word in ("04_train", "cell-0", "MemoryError: 13 is unlucky"):
        assert word in found["13"]["reason"]
    made = {p: (p.stat().st_mtime_ns, json.loads(p.read_text())) for p in home.glob("*/point.json")}
    before = submitted()
    assert before == 1 + 6 + 1  # data, points, and the one that was cancelled once more
    notebook = folder / "04_train.ipynb"
    notebook.write_text(notebook.read_text().replace("width == 13", "width == 0"))
    assert subprocess.run(command).returncode == 0
    assert submitted() - before == 1 + 1  # the data are looked at again, one point was missing
    assert {row["status"] for row in results().values()} == {"done"} and len(results()) == 6
    assert {p: (p.stat().st_mtime_ns, json.loads(p.read_text())) for p in made} == made

"""What does the engine of sweeps cost, and do kernels that start at once live? Run: `make bench`.

    python tests/benchmarks/sweep_engine.py [points] [thousand] [kernels] [pair]   (all by default)

points: eight toy points one after another, notebooks and all; what the sweep takes beyond what they
take themselves. thousand: a sweep of 1,000 points that do nothing: reading and checking the file,
the whole sweep by Snakemake, and what one job of a cluster does before its point begins (with SLURM
twice, for its executor starts Snakemake by way of Snakemake). kernels: 16 processes at once with a
notebook of two cells each, ten times. pair: the same two real points, one thread each at once, and
two threads each one after the other; the better of two tries, in turns. Peaks are of the largest
process.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "series"))

import toys
from made import write_notebook

from unet_lib import workspace
from unet_lib.series import drive, points, sweep

MANY = """base: {params: notebooks/params/smoke.yaml}
grid:
  learning_rate: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4, 7e-4, 8e-4, 9e-4, 1e-3]
  width: [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
  dropout: [0.0, 0.1]
seeds: [0, 1, 2, 3, 4]
"""
IDLE = """#!/bin/sh
# In the place of Python: a point that is done at once. Called as -m MODULE PLAN point NAME
folder=$(dirname "$3")/$5
mkdir -p "$folder"
echo '{"ok": true}' >"$folder/point.json"
"""
READ = "import sys; from unet_lib.series import sweep; sweep.read(sys.argv[1])"
KERNEL = """import sys; from pathlib import Path; from unet_lib.series import execute
execute.execute_all({Path(sys.argv[1]): {}}, Path(sys.argv[2]))"""
# In a process of its own, for a child's peak is at least what its parent held when it began.
MEASURE = """import os, subprocess, sys
_, status, used = os.wait4(subprocess.Popen(sys.argv[1:], stdout=2).pid, 0)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))"""
PAIR = """base: {params: notebooks/params/smoke.yaml, epochs: 6}
seeds: [0, 1]
"""
AT_ONCE, ROUNDS = 16, 10


def measure(*command: str | Path) -> str:
    """Run a command; return seconds on the clock, seconds of processors, and peak memory."""
    start = time.perf_counter()
    asked = [sys.executable, "-S", "-c", MEASURE, *map(str, command)]
    done = subprocess.run(asked, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    busy, peak = done.stdout.split()[-2:]
    peak = int(peak) / (2**20 if sys.platform == "darwin" else 2**10)
    return f"{seconds:.1f} s, {float(busy):.1f} of a core, {peak:.0f} MB"


def measure_points(folder: Path) -> None:
    """Compare a sweep of toys with what its points say that they took."""
    notebooks = toys.write(folder, SimpleNamespace(setenv=os.environ.__setitem__))
    file, seconds = toys.study(notebooks, "grid: {width: [1, 2, 3, 4, 5, 6, 7, 8]}"), []
    for _ in range(2):
        start = time.perf_counter()
        if drive.run(file, cores=1, folder=notebooks):
            sys.exit("a toy failed")
        seconds.append(time.perf_counter() - start)
    done = [points.read_json(p) for p in workspace.run_dir("study").glob("*/point.json")]
    inside = sum(point["seconds"] for point in done)
    print(f"a sweep with nothing to do: {seconds[1]:.1f} s")
    print(f"{len(done)} points: {inside / len(done):.1f} s each; engine beyond that"
          f" {(seconds[0] - seconds[1] - inside) / len(done):.2f} s each")


def measure_thousand(folder: Path) -> None:
    """Read, run and look into a sweep of a thousand points that do nothing."""
    os.environ["UNET_LOWERED_WORKSPACE"] = str(folder)
    (folder / "many.yaml").write_text(MANY, "utf-8")
    (folder / "idle").write_text(IDLE, "utf-8")
    (folder / "idle").chmod(0o755)
    print("reading and checking:", measure(sys.executable, "-c", READ, folder / "many.yaml"))
    asked = sweep.read(folder / "many.yaml")
    for number in (1, len(asked.points)):
        home = folder / f"of-{number}"
        for name in asked.makers:
            workspace.write_json(home / "data" / f"{name}.json", {})
            (home / "data" / f"{name}.looked").touch()
        points.write_plan(home / "plan.json", asked.points[:number], asked.makers, file=home)
        options = drive._options(home, cores=2, profile="local", waiting=number)
        snakemake = [sys.executable, "-m", "snakemake"]
        options = [o.replace(f"python={sys.executable}", f"python={folder / 'idle'}")
                   for o in options]
        one = asked.points[0].name
        print(f"a cluster's job, {number} points:", measure(
            *snakemake, *options, "--executor", "local", "--target-jobs", f"point:point={one}",
            "--allowed-rules", "point", "--force", "--mode", "remote"))
        print(f"the driver, {number} points:", measure(*snakemake, "points", *options))


def measure_kernels(folder: Path) -> None:
    """Start notebooks at once, several times, and count those that die."""
    write_notebook(folder / "01_two.ipynb", "print(run_name)")
    dead, start = 0, time.perf_counter()
    for number in range(ROUNDS):
        began = [subprocess.Popen(
            [sys.executable, "-c", KERNEL, folder / "01_two.ipynb", folder / f"{number}-{k}"],
            stdout=subprocess.DEVNULL) for k in range(AT_ONCE)]  # fmt: skip
        dead += sum(process.wait() != 0 for process in began)
    print(f"{ROUNDS * AT_ONCE} kernels, {AT_ONCE} at once: {dead} dead,"
          f" {time.perf_counter() - start:.0f} s")
    if dead:
        sys.exit(1)


def measure_pair(folder: Path) -> None:
    """Run two trainings side by side, and one after the other on as many cores."""
    os.environ["UNET_LOWERED_WORKSPACE"] = str(folder)
    (folder / "pair.yaml").write_text(PAIR, "utf-8")
    asked, home = sweep.read(folder / "pair.yaml"), workspace.run_dir("pair")
    points.write_plan(home / "plan.json", asked.points, asked.makers, file=folder / "pair.yaml")

    def snakemake(target: str, threads: int) -> float:
        options = drive._options(home, cores=2, profile="local", waiting=2 // threads)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "snakemake", target, *options], check=True,
                       capture_output=True)  # fmt: skip
        return time.perf_counter() - start

    snakemake("data_sets", 2)
    taken = {1: [], 2: []}
    for _ in range(2):
        for threads, seconds in taken.items():
            for point in asked.points:
                shutil.rmtree(home / point.name, ignore_errors=True)
            seconds.append(snakemake("points", threads))
    together, apart = map(min, taken.values())
    inside = points.read_json(home / asked.points[0].name / points.DONE)["seconds"]
    print(f"two points at once, one thread each: {together:.1f} s; one after the other, two threads"
          f" each: {apart:.1f} s ({inside:.1f} s a point); at once is {apart / together:.2f} times"
          " as fast")


def main(wanted: list[str]) -> None:
    os.environ["PYTHONPATH"] = str(workspace.PROJECT)
    os.chdir(workspace.PROJECT)
    known = {"points": measure_points, "thousand": measure_thousand, "kernels": measure_kernels,
             "pair": measure_pair}
    for name in wanted or known:
        with tempfile.TemporaryDirectory() as folder:
            known[name](Path(folder))


if __name__ == "__main__":
    if shutil.which("snakemake", path=drive._path()) is None:
        sys.exit("this needs Snakemake: pip install -e '.[batch]'")
    main(sys.argv[1:])

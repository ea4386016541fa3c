"""A sweep from its file to results: Snakemake runs the jobs, this says how far it is."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from unet_lib import bootstrap, console, datasets, workspace
from unet_lib.series import collect, plan, points, report, sweep

_WORKFLOW = workspace.PROJECT / "workflow"
_KIND = ("image_size", "batch_size", "loss", "width", "head", "normalization", "standardize",
         "dropout")  # fmt: skip
_MEMORY, _MINUTES = 3000, 24 * 60  # of a job, for a scheduler: MB, and when to give it up


def run(
    file: str, *, cores: int | None = None, profile: str = "local", retries: int = 0,
    folder: Path = plan.NOTEBOOKS,
) -> int:
    """Run a sweep; finished points are skipped.

    Args:
        file: the sweep file.
        cores: of this machine to use, all if not given; on a cluster, of each job.
        profile: where jobs run, a folder of workflow/profiles.
        retries: how often a point that failed is tried again at once.
        folder: the folder that holds the notebooks.

    Returns:
        0 if every point is done, 1 if one is not, 130 after Ctrl-C, 143 after SIGTERM.

    Raises:
        plan.Refused: the file is wrong, another one of its name has made points, Snakemake is
            missing, or there are fewer cores; nothing has run.
    """
    asked = _read(file, cores, profile, folder)
    if shutil.which("snakemake", path=_path()) is None:
        how = bootstrap.install_command("batch")
        raise plan.Refused(f"sweeps need Snakemake: {how} in the project's folder")
    home = workspace.run_dir(asked.name)
    waits = f"another call works on {workspace.shown(home)}; this one goes on when that ends"
    with workspace.alone(home, told=waits) as lock:
        _check_owner(home, Path(file))
        points.write_plan(home / "plan.json", asked.points, asked.makers, file=Path(file))
        _forget(home)
        names = [point.name for point in asked.points]
        waiting = sum(not points.read_json(home / name / points.DONE).get("ok") for name in names)
        options = ["--keep-going", *_options(home, cores=cores, profile=profile, waiting=waiting)]
        board, ended = _Board(home, names), []
        for target in (["data_sets"], ["points", "--retries", str(retries)]):
            ended.append(_twice([*target, *options], home, asked, board, lock))
            if ended[-1] >= 128:
                print("Interrupted: the same command goes on from here.", file=sys.stderr)
                return ended[-1]
        return collect.write(home, asked) or int(any(ended))


def _read(file: str, cores: int | None, profile: str, folder: Path) -> sweep.Sweep:
    """Read a sweep; refuse more cores than there are: as many points would run at once."""
    asked = sweep.read(file, folder=folder)
    if profile == "local" and cores and cores > (here := os.cpu_count() or 1):
        raise plan.Refused(f"--cores {cores} is more than the {here} of this machine; use at most"
                           f" {here}, or leave it out")
    return asked


def _check_owner(home: Path, file: Path) -> None:
    """Refuse the folder of another sweep file that has the same name."""
    other = points.read_json(home / "plan.json").get("file", "")
    if os.path.exists(other) and not file.samefile(other):
        raise plan.Refused(f"{workspace.shown(home)} holds the points of {other}, and {file} has"
                           " the same name; give one of the two files another")


def _forget(home: Path) -> None:
    """Remove what says that jobs of an earlier call run or failed, and that data are up to date.

    And results that are not whole. Those that are stay, whatever became of the call that asked for
    them: a point.json is written last and at once, so Snakemake need not know of it.
    """
    for done in home.glob(f"*/{points.DONE}"):
        if not points.read_json(done).get("ok"):
            done.unlink()
    for pattern in (f"*/{points.BEGUN}", f"*/{points.FAILED}", f"data/*.{points.FAILED}",
                    "data/*.looked"):
        for path in home.glob(pattern):
            path.unlink()


def _twice(
    arguments: list[str], home: Path, asked: sweep.Sweep, board: "_Board", lock: int | None
) -> int:
    """Run Snakemake; and once more for jobs that ended without a word, as killed ones do."""
    for last in (False, True):
        ended = _snakemake(arguments, home, board, lock)
        silent = _silent(arguments[0], home, asked) if ended < 128 else []
        for failed in silent:
            failed.with_name(points.BEGUN).unlink(missing_ok=True)
            if last:
                failed.parent.mkdir(parents=True, exist_ok=True)
                log = workspace.shown(home / "snakemake.log")
                workspace.write_json(failed, {"ok": False, "reason": (
                    "its job was killed or could not start, twice; mostly memory or time ran out:"
                    f" {log} and the log in {workspace.shown(failed.parent)} say more")})
        if not silent:
            break
    return ended


def _silent(target: str, home: Path, asked: sweep.Sweep) -> list[Path]:
    """Return where to say why, for each job that is neither done nor says why it failed."""
    data = {name: home / "data" / f"{name}.looked" for name in asked.makers}
    if target == "data_sets":
        marks = {looked: home / "data" / f"{name}.{points.FAILED}" for name, looked in data.items()}
    else:
        marks = {home / p.name / points.DONE: home / p.name / points.FAILED
                 for p in asked.points if data[p.dataset].exists()}
    return [failed for done, failed in marks.items() if not (done.exists() or failed.exists())]


def preview(
    file: str, *, cores: int | None = None, profile: str = "local", folder: Path = plan.NOTEBOOKS,
) -> int:
    """Print the points of a sweep, the hours that their trainings would take here, and the memory.

    Ten steps are timed for each kind of model, in this process and with all its cores, so the sum
    is an estimate for points one after another. Nothing is written.

    Raises:
        plan.Refused: the file is wrong, or there are fewer cores, as of `run`.
    """
    asked = _read(file, cores, profile, folder)
    rows, hours, timed = [], 0.0, {}
    for point in asked.points:
        values = {k: v for n, given in point.run.parameters.items()
                  for k, v in {**plan.defaults(n), **given}.items()}
        kind = {k: values[k] for k in _KIND if k in values}
        key = tuple(kind.items())
        if key not in timed:
            timed[key] = _probe(kind)
        every = _pairs(asked.makers[point.dataset], point.dataset)
        pairs = values.get("training_pairs") or every
        steps = values["epochs"] * -(-pairs // values["batch_size"]) if pairs else None
        seconds = steps * timed[key][0] if steps else None
        hours += (seconds or 0) / 3600
        rows.append((point.name, f"{steps or '?'}", f"{seconds:.0f}" if seconds else "?"))
    report.show_table(("point", "steps", "seconds"), rows)
    memory = max(memory for _, memory in timed.values())
    unknown = sum(row[1] == "?" for row in rows)
    print(f"{len(rows)} points, {len(asked.makers)} data sets; training {hours:.2f} h on the"
          f" {os.cpu_count() or 1} cores here, {memory:.0f} MB for each point that runs at once")
    if unknown:
        print(f"{unknown} points read data that are not made yet: their steps are not known")
    return 0


def _probe(kind: dict) -> tuple[float, float]:
    bootstrap.quieten()
    with bootstrap.stderr_aside():  # that there is no GPU is no news here
        from unet_lib.series import probe

        return probe.measure(**kind)


def _pairs(maker: plan.Run, dataset: str) -> int | None:
    """Return how many pairs train; None where nothing can tell before the data are made."""
    asked = maker.data
    try:
        manifest = datasets.load_manifest(workspace.data_dir(dataset))
        datasets.require(manifest, **asked)
        return len(manifest["split"]["train"])
    except (FileNotFoundError, ValueError):  # not there, or made with other parameters
        _, _, folds = str(asked.get("split", "")).partition("/")
        left_out = 1 / int(folds) if folds else asked["val_fraction"]
        drawn = asked.get("source") == "phantom"
        return round(asked["phantoms"] * (1 - left_out)) if drawn else None


def _path() -> str:
    """Return where to look for Snakemake: beside this Python first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _options(home: Path, *, cores: int | None, profile: str, waiting: int) -> list[str]:
    """Return Snakemake's options; the cores are divided among the points that run at once."""
    cores = cores or os.cpu_count() or 1
    threads = max(1, cores // max(1, waiting)) if profile == "local" else cores
    config = {"home": home, "python": sys.executable, "threads": threads, "memory_mb": _MEMORY,
              "minutes": _MINUTES}
    return ["--snakefile", str(_WORKFLOW / "Snakefile"), "--directory", str(home),
            "--workflow-profile", str(_WORKFLOW / "profiles" / profile), "--nolock",
            "--rerun-triggers", "mtime", "--ignore-incomplete", "--cores", str(cores),
            "--config", *(f"{name}={value}" for name, value in config.items())]


def _snakemake(arguments: list[str], home: Path, board: "_Board", lock: int | None) -> int:
    """Run Snakemake with its words in a log; return its exit code, 128 and more after a signal.

    It holds the folder's lock as well: where this process is killed, Snakemake goes on alone, and
    another call must not begin beside it.
    """
    profile = arguments[arguments.index("--workflow-profile") + 1]  # may hold an executor of ours
    environment = {**os.environ, "PATH": _path(), "PYTHONPATH": os.pathsep.join(
        filter(None, [str(workspace.PROJECT), profile, os.environ.get("PYTHONPATH")])),
        "XDG_CACHE_HOME": str(home / ".snakemake" / "cache")}  # HOME may be no place to write
    with (home / "snakemake.log").open("a", encoding="utf-8") as log:
        job = subprocess.Popen(["snakemake", *arguments], cwd=workspace.PROJECT, stdout=log,
                               stderr=subprocess.STDOUT, env=environment, start_new_session=True,
                               pass_fds=() if lock is None else (lock,))  # fmt: skip
        try:
            while job.poll() is None:
                board.show()
                time.sleep(0.5)
        except KeyboardInterrupt as end:
            os.killpg(job.pid, signal.SIGINT)
            job.wait()
            return 128 + console.number_of(end)
        board.show()
        return job.returncode


class _Board:
    """Says in one line how many points are done, each time that it changes."""

    def __init__(self, home: Path, names: list[str]):
        self.home, self.names, self.said = home, names, None
        self.start, self.before = time.time(), self.count()[0]

    def count(self) -> tuple[int, int, int]:
        """Return how many points are done, run, and failed."""
        there = [sum((self.home / name / file).exists() for name in self.names)
                 for file in (points.DONE, points.BEGUN, points.FAILED)]
        return tuple(there)

    def show(self) -> None:
        """Print a line if something changed."""
        now = self.count()
        if now == self.said:
            return
        self.said = now
        done, running, failed = now
        since = done - self.before
        left = len(self.names) - done - failed
        minutes = (time.time() - self.start) / since * left / 60 if since else None
        about = f", about {minutes:.0f} min left" if minutes is not None and left else ""
        print(f"{time.strftime('%H:%M:%S')}  {done} of {len(self.names)} points done,"
              f" {running} running, {failed} failed{about}", flush=True)

"""One training on two processes at 127.0.0.1, beside one process; one is killed, and it goes on."""

import io
import os
import signal
import subprocess
import sys
import time
import zipfile

import h5py
import numpy as np
import pytest

from unet_lib import datasets, runs, workspace
from unet_lib.intake import prepare

pytest.importorskip("jax", reason="JAX is not installed: pip install -e '.[scale]'")
TRAIN = workspace.PROJECT / "workflow" / "train.py"
LAUNCH = workspace.PROJECT / "workflow" / "launch_hosts.sh"
BATCH = workspace.PROJECT / "workflow" / "launch_slurm.sh"
EPOCHS = 12
TOY = {
    "dataset": "two_processes", "phantoms": 19, "image_size": 32, "width": 2, "batch_size": 4,
    "epochs": EPOCHS, "augment": "true", "flip": "true", "dropout": 0.5, "required_dice": 0,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def room(tmp_path_factory):
    """A workspace with a toy data set: 16 pairs to train with and 3 to validate."""
    home = tmp_path_factory.mktemp("parallel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNET_LOWERED_WORKSPACE", str(home))
        patch.setenv("PYTHON", sys.executable)
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(home / "compiled"))
        source = prepare.find_source("phantom", home / "data" / "made", phantoms=TOY["phantoms"])
        asked = datasets.source_name("phantom", phantoms=TOY["phantoms"])
        target = workspace.data_dir(TOY["dataset"])
        prepare.restructure(source, target, asked=asked, val_fraction=0.15, split_seed=0)
        yield


def arguments(run_name, **changes):
    values = TOY | {"run_name": run_name} | changes
    return [word for name, value in values.items() for word in ("-p", name, str(value))]


def alone(run_name, *, devices=1, **changes):
    """Train in one process, with so many devices; return the run's folder."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    done = subprocess.run(
        [sys.executable, TRAIN, *arguments(run_name, **changes)], capture_output=True, text=True,
        env={**os.environ, "XLA_FLAGS": flags},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return workspace.run_dir(run_name)


def launch(run_name):
    """Start two processes, as a user does."""
    return subprocess.Popen(
        [LAUNCH, "localhost", "localhost", "--", *arguments(run_name)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def one():
    return alone("one")


def weights(run):
    """Read the model's own numbers, without Keras."""
    found = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset) and name.startswith("layers/"):
            found[name] = item[()]

    packed = zipfile.ZipFile(run / "last.keras").read("model.weights.h5")
    h5py.File(io.BytesIO(packed)).visititems(keep)
    return found


def assert_same_training(run, other, *, share=1.0):
    """Losses to 0.0001; so many weights to 0.0005, less than two of Adam's steps of 0.0003.

    What differs is the order of additions. A pixel at a half may fall on either side, so accuracy
    is not compared as closely.
    """
    left, right = (runs.read_history(folder) for folder in (run, other))
    assert left["epoch"] == right["epoch"] and len(left["epoch"]) > 0
    for name in ("loss", "val_loss"):
        assert left[name] == pytest.approx(right[name], abs=1e-4), name
    for name in ("accuracy", "val_accuracy"):
        assert left[name] == pytest.approx(right[name], abs=5e-3), name
    first, second = weights(run), weights(other)
    assert set(first) == set(second) and len(first) > 40
    gaps = np.concatenate([np.abs(first[name] - second[name]).ravel() for name in first])
    assert np.quantile(gaps, share) < 5e-4


def test_two_processes_train_as_one(one):
    """Global loss, validation of unequal shares, weights; with augmentation and dropout."""
    process = launch("two")
    said = process.communicate(timeout=900)[0]
    assert process.returncode == 0, said[-4000:]
    assert "2 processes, 2 pairs of each batch for each" in said
    assert said.count(f"epoch {EPOCHS}/{EPOCHS}") == 1  # one of them tells
    two = workspace.run_dir("two")
    assert_same_training(two, one)
    record = runs.load_run(two)
    assert record["processes"] == 2 and record["backend"] == "jax" and "jax" in record["versions"]


def test_srun_starts_the_same_training(slurm, one, tmp_path, monkeypatch):
    """Who takes part is read from SLURM; the address alone is given, so that it stays in here."""
    log, place = tmp_path / "job.log", "127.0.0.1:16899"
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", place)
    monkeypatch.setenv("JAX_COORDINATOR_BIND_ADDRESS", place)
    command = ["sbatch", "--wait", "--ntasks=2", f"--output={log}", BATCH, *arguments("by_srun")]
    done = subprocess.run(command, cwd=workspace.PROJECT, timeout=900)
    said = log.read_text()
    assert done.returncode == 0 and "2 processes, 2 pairs of each batch for each" in said, said
    by_srun = workspace.run_dir("by_srun")
    assert_same_training(by_srun, one)
    assert runs.load_run(by_srun)["processes"] == 2


def test_two_devices_of_one_process_share_batch_normalization():
    """On JAX it always sees the whole batch.

    Of some weights the slope is 0 then but for rounding, and Adam makes whole steps even of that.
    """
    how = {"normalization": "batch", "epochs": 1, "dropout": 0.0}
    two = alone("devices-2", devices=2, **how)
    assert_same_training(two, alone("devices-1", **how), share=0.99)


def children(process):
    shown = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True)
    return sorted(int(pid) for pid in shown.stdout.split())


def kill_one(number, *, run_name, beyond):
    """Start two processes and kill one after so many epochs; return what was said, and how long
    the end took in seconds."""
    process = launch(run_name)
    deadline = time.monotonic() + 900
    while runs.finished_epochs(workspace.run_dir(run_name)) <= beyond:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.kill(children(process)[number], signal.SIGKILL)
    killed = time.monotonic()
    said = process.communicate(timeout=300)[0]
    assert process.returncode not in (0, None), said[-4000:]
    return said, time.monotonic() - killed


def test_a_lost_process_ends_all_and_the_run_goes_on(one):
    """First the second process is lost, then the first, which the others ask who takes part."""
    done = 0
    for number in (1, 0):
        said, seconds = kill_one(number, run_name="lost", beyond=done)
        assert "a process ended with" in said and seconds < 120, said[-4000:]
        if number == 1:
            assert "process 0 stops:" in said and "epochs are safe; the same call goes on" in said
        found = runs.finished_epochs(workspace.run_dir("lost"))
        assert done < found < EPOCHS
        done = found
    process = launch("lost")
    said = process.communicate(timeout=900)[0]
    assert process.returncode == 0 and f"{done} of {EPOCHS} epochs done, resuming" in said
    assert_same_training(workspace.run_dir("lost"), one)


def test_the_exchange_of_a_step_is_measured_apart(monkeypatch):
    """The program itself compares the sums with the number of processes."""
    monkeypatch.setenv("PROGRAM", str(TRAIN.with_name("exchange.py")))
    monkeypatch.setenv("PIN", "1" if os.cpu_count() > 1 else "")
    done = subprocess.run([LAUNCH, "localhost", "localhost", "--", "1", "70000", "3"], text=True,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    one_by_one, joined = map(float, done.stdout.split()[-2:])
    assert 0 < joined < 10_000 and 0 < one_by_one < 10_000


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"batch_size": 17}, "batch_size must be at most 16, the number of training pairs"),
     ({"batch_size": 0}, "batch_size must be a whole number"),
     ({"dataset": "nowhere"}, "notebooks/01_restructure_dataset.ipynb makes it")],
)
def test_what_cannot_work_is_refused(changes, sentence):
    done = subprocess.run([sys.executable, TRAIN, *arguments("refused", **changes)],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode != 0 and sentence in done.stderr and "Traceback" not in done.stderr

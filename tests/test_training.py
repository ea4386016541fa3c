"""The run on disk: resuming, refusing, warning. One training is really killed."""

import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import keras
import numpy as np
import pytest

from unet_lib import architecture, batches, experiments, pixels, runs, training, workspace

SETTINGS = {
    "batch_size": 4, "epochs": 3, "learning_rate": 0.001, "loss": "bce",
    "schedule": "constant", "precision": "float32",
}  # fmt: skip


def pairs(count=8, size=16):
    """Bright squares on noise, and where they are."""
    rng = np.random.default_rng(0)
    masks = np.zeros((count, size, size), np.uint8)
    for mask in masks:
        top, left = rng.integers(1, size // 2, 2)
        mask[top : top + 6, left : left + 6] = 1
    return (rng.integers(0, 80, masks.shape) + 150 * masks).astype(np.uint8), masks


def compiled(*, learning_rate=0.001, **options):
    """A tiny U-Net, ready to fit."""
    keras.utils.set_random_seed(0)
    options = {"head": "direct", "normalization": "batch", **options}
    unet = architecture.build_unet(16, width=2, **options)
    experiments.compile_unet(
        unet, loss="bce_dice", learning_rate=learning_rate, schedule="constant", total_steps=6
    )
    return unet


def fit(run, *, epochs=3, callbacks=(), before=(), validation=None):
    """Train as notebook 04 does; take up what is in `run`."""
    stack, masks = pairs()
    runs.open_run(run, parameters={**SETTINGS, "epochs": epochs}, data_sha256="d" * 64)
    unet, done = training.resume(run, compiled(), epochs=epochs)
    # eager: for a model this small, tracing a graph would take longer than all its steps
    unet.run_eagerly = keras.backend.backend() == "tensorflow"
    stream = batches.training_batches(
        stack, masks, batch_size=4, epochs=epochs, seed=0, first_epoch=done
    )
    if validation is None:
        validation = batches.evaluation_batches(stack, masks, batch_size=4)
    with training.one_sentence_if_interrupted(run):
        unet.fit(
            stream, validation_data=validation, epochs=epochs, initial_epoch=done,
            steps_per_epoch=2, shuffle=False, verbose=0,
            callbacks=[training.SeedDropout(0), *before, training.EpochSaver(run), *callbacks],
        )  # fmt: skip
    return unet


class InterruptAt(keras.callbacks.Callback):
    """Ctrl-C behind a step, counted over all epochs from 1."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        training.rate_now(self.model)  # or JAX does not tell how many steps were made
        if int(self.model.optimizer.iterations) == self.step:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of three epochs that came to its end."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    fit(run)
    runs.close_run(run, model_parameters=7)
    return run


def numbers(run):
    """The history without the clock."""
    return {k: v for k, v in runs.read_history(run).items() if k != "seconds"}


def files(run):
    """Names in the run's folder, without the hidden one that says who has it."""
    return {p.name for p in run.iterdir() if not p.name.startswith(".")}


def kept(run):
    return sorted(p.name for p in (run / "checkpoints").iterdir())


def assert_ends_alike(run, other):
    assert numbers(run) == numbers(other)
    assert_same_weights(run / "last.keras", other / "last.keras")
    assert_same_weights(run / "best.keras", other / "best.keras")


def weights(path):
    return [np.asarray(w) for w in keras.models.load_model(path).weights]


def assert_same_weights(left, right):
    for a, b in zip(weights(left), weights(right), strict=True):
        assert (a == b).all()


def test_a_finished_run_leaves_history_models_and_record(finished):
    history = runs.read_history(finished)
    assert history["epoch"] == [1, 2, 3] and all(np.isfinite(v).all() for v in history.values())
    assert files(finished) == {"best.keras", "last.keras", "history.csv", "run.json"}
    record = runs.load_run(finished)
    assert record["status"] == "finished" and record["epochs"] == 3
    assert record["model_parameters"] == 7
    assert record["best_epoch"] == 1 + int(np.argmin(history["val_loss"]))
    assert record["seconds"] == pytest.approx(sum(history["seconds"]), abs=0.1)
    assert record["versions"]["keras"] == keras.__version__ and record["hardware"]["cores"] >= 1


def test_best_is_the_model_of_the_lowest_validation_loss(finished):
    stack, masks = pairs()
    best = keras.models.load_model(finished / "best.keras")
    loss = best.evaluate(batches.evaluation_batches(stack, masks, batch_size=4), verbose=0)[0]
    assert loss == pytest.approx(min(runs.read_history(finished)["val_loss"]), abs=1e-5)


KILLED = """
import os, sys
sys.path.insert(0, os.path.dirname(sys.argv[2]))
import test_training as t
from pathlib import Path
import keras

class Slow(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        print("step", flush=True)
        t.training.rate_now(self.model)
        if self.model.optimizer.iterations >= 3:  # in the middle of the second epoch
            import time; time.sleep(60)

t.fit(Path(sys.argv[1]), callbacks=[Slow()])
"""


def test_a_killed_run_resumes_and_ends_bit_for_bit_like_an_uninterrupted_one(finished, tmp_path):
    run = tmp_path / "killed"
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(run), __file__]
    process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in ["a new run: 3 epochs to do\n", *["step\n"] * 4]:
        assert process.stdout.readline() == line
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert runs.finished_epochs(run) == 1 and not (run / "last.keras").exists()
    with pytest.raises(
        FileNotFoundError, match=r"'killed' has not finished \(1 of 3 epochs\).*resumes"
    ):
        runs.load_run(run)
    fit(run)
    assert_ends_alike(run, finished)


@pytest.mark.parametrize(("step", "safe"), [(1, 0), (3, 1), (5, 2)])
def test_an_interrupt_is_one_sentence_and_loses_no_finished_epoch(finished, tmp_path, step, safe):
    run = tmp_path / "interrupted"
    with pytest.raises(training.Interrupted) as caught:
        fit(run, callbacks=[InterruptAt(step)])
    sentence = f"Interrupted: {safe} finished epoch{'s' * (safe != 1)} safe in {run}."
    sentence += " Run this cell again to go on from there."
    assert str(caught.value) == sentence and isinstance(caught.value, KeyboardInterrupt)
    assert caught.value._render_traceback_() == [sentence]  # what IPython shows, and nothing else
    assert caught.value.__suppress_context__ and runs.finished_epochs(run) == safe
    fit(run)
    assert_ends_alike(run, finished)


def test_a_training_that_a_callback_stopped_early_is_taken_up(finished, tmp_path, capsys):
    """As keras.callbacks.EarlyStopping does; last.keras stands for all epochs."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    run = tmp_path / "early"
    fit(run, callbacks=[Stop()])
    assert kept(run) == ["epoch-00001.keras"] and not (run / "last.keras").exists()
    capsys.readouterr()
    fit(run)
    assert "1 of 3 epochs done, resuming" in capsys.readouterr().out
    assert_ends_alike(run, finished)
    assert files(run) == files(finished)


def test_other_errors_than_an_interrupt_stay_what_they_are(tmp_path):
    with pytest.raises(ZeroDivisionError), training.one_sentence_if_interrupted(tmp_path):
        _ = 1 / 0


def test_rows_written_after_the_last_checkpoint_are_forgotten(finished, tmp_path):
    class Die(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    run = tmp_path / "rows"
    with pytest.raises(KeyboardInterrupt):
        fit(run, callbacks=[Die()])
    with (run / "history.csv").open("a") as file:  # killed between the row and the checkpoint
        file.write("2,9,9,9,-9,9,9,9,9\n")
    (run / "checkpoints" / "partial.keras").write_bytes(b"half a file")
    fit(run)
    assert numbers(run) == numbers(finished)


def test_a_finished_run_says_so_and_trains_no_further(finished, capsys):
    before = (finished / "last.keras").stat().st_mtime_ns
    capsys.readouterr()
    fit(finished)
    said = capsys.readouterr().out
    assert said == "3 of 3 epochs done, finished: another run_name trains anew\n"
    assert (finished / "last.keras").stat().st_mtime_ns == before
    assert files(finished) == {"best.keras", "last.keras", "history.csv", "run.json"}
    assert runs.load_run(finished)["epochs"] == 3


def test_a_run_says_where_it_stands(tmp_path, capsys):
    run = tmp_path / "run"
    with pytest.raises(training.Interrupted):
        fit(run, callbacks=[InterruptAt(3)])
    assert capsys.readouterr().out == "a new run: 3 epochs to do\n"
    training.resume(run, compiled(), epochs=3)
    assert capsys.readouterr().out == "1 of 3 epochs done, resuming\n"


def test_a_longer_run_from_a_finished_one_equals_an_uninterrupted_one(finished, tmp_path):
    run = tmp_path / "longer"
    for epochs in (1, 2, 3):
        fit(run, epochs=epochs)
        assert runs.close_run(run, model_parameters=7)["epochs"] == epochs
    assert_ends_alike(run, finished)
    assert files(run) == files(finished)
    assert runs.load_run(run)["parameters"] == runs.load_run(finished)["parameters"]


def test_a_longer_run_may_be_interrupted_too(finished, tmp_path):
    run = tmp_path / "longer"
    fit(run, epochs=2)
    runs.close_run(run)
    with pytest.raises(training.Interrupted, match="2 finished epochs safe"):
        fit(run, callbacks=[InterruptAt(5)])
    fit(run)
    assert_ends_alike(run, finished)


# ----------------------------------------------------------------------- files that a disk has lost


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


@pytest.fixture(scope="module")
def two_done(tmp_path_factory):
    """A run of three epochs that was interrupted in the third."""
    run = tmp_path_factory.mktemp("runs") / "two"
    with pytest.raises(training.Interrupted):
        fit(run, callbacks=[InterruptAt(5)])
    workspace.release(run, purpose="training")
    return run


NEWEST, EARLIER = "checkpoints/epoch-00002.keras", "checkpoints/epoch-00001.keras"
BEST = "best.keras"


@pytest.fixture
def copy(two_done, tmp_path):
    shutil.copytree(two_done, tmp_path / "copy")
    assert runs.best_epoch(runs.read_history(two_done)) == 1  # so best.keras is the older one
    return tmp_path / "copy"


def words(output):
    """Which files a `resume` could not read, and what it said in the end."""
    *lines, last = output.splitlines()
    pattern = r"(.*) cannot be read \(\w+\); an earlier file is taken"
    return [re.fullmatch(pattern, line)[1] for line in lines], last


def test_an_epoch_whose_row_is_lost_is_trained_again_and_the_run_ends_alike(
    finished, copy, capsys
):
    rows = (copy / "history.csv").read_text().splitlines(keepends=True)
    (copy / "history.csv").write_text("".join(rows[:2]))  # the head and epoch 1
    fit(copy)
    said = capsys.readouterr().out
    assert f"{NEWEST} is not taken: its row in history.csv is lost\n1 of 3 epochs done" in said
    assert_ends_alike(copy, finished)
    assert files(copy) == files(finished)


@pytest.mark.parametrize(
    ("damage", "damaged"), [(cut, [NEWEST]), (empty, [NEWEST]), (cut, [NEWEST, EARLIER])]
)
def test_a_damaged_checkpoint_falls_back_with_a_word_and_ends_alike(
    finished, copy, capsys, damage, damaged
):
    for name in damaged:
        damage(copy / name)
    capsys.readouterr()
    fit(copy)
    named, last = words(capsys.readouterr().out)
    assert named == [workspace.shown(copy / name) for name in damaged]
    assert last == "1 of 3 epochs done, resuming"
    assert_ends_alike(copy, finished)
    assert files(copy) == files(finished)


def test_the_best_model_is_taken_where_it_is_the_newest_left(copy, capsys):
    shutil.copy(copy / NEWEST, copy / BEST)  # as if the second epoch had been the better one
    history = runs.read_history(copy)
    runs.write_history(copy, history | {"val_loss": [99.0, history["val_loss"][1]]})
    cut(copy / NEWEST)
    unet, done = training.resume(copy, compiled(), epochs=3)
    assert words(capsys.readouterr().out) == (
        [workspace.shown(copy / NEWEST)], "2 of 3 epochs done, resuming"
    )  # fmt: skip
    assert done == 2 and int(unet.optimizer.iterations) == 4


@pytest.mark.parametrize("damage", [cut, empty])
def test_a_damaged_best_model_is_noticed_though_a_newer_file_is_good(copy, capsys, damage):
    """It is mended from the checkpoint of its epoch; without that, resuming is refused."""
    whole = keras.models.load_model(copy / BEST).get_weights()
    damage(copy / BEST)
    _, done = training.resume(copy, compiled(), epochs=3)
    mended = keras.models.load_model(copy / BEST).get_weights()
    assert done == 2 and all(map(np.array_equal, mended, whole))
    assert f"{workspace.shown(copy / BEST)} was damaged; it is made" in capsys.readouterr().out
    damage(copy / BEST)
    (copy / EARLIER).unlink()
    with pytest.raises(ValueError, match="best.keras is damaged, and no other file .* epoch 1;"):
        training.resume(copy, compiled(), epochs=3)


def test_a_run_without_a_readable_model_is_refused_and_left_as_it_is(copy):
    for name in (NEWEST, EARLIER, BEST):
        cut(copy / name)
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    message = f"none of the models in {workspace.shown(copy)} can be read; choose another run_name"
    with pytest.raises(ValueError, match=message):
        training.resume(copy, compiled(), epochs=3)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_two_checkpoints_are_kept_until_the_end(tmp_path):
    run, seen = tmp_path / "run", []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(kept(run))

    fit(run, epochs=4, callbacks=[Look()])
    names = [f"epoch-{k:05d}.keras" for k in (1, 2, 3, 4)]
    assert seen == [names[:1], names[:2], names[1:3], names[2:]]
    assert files(run) == {"best.keras", "last.keras", "history.csv", "run.json"}


def test_a_model_that_does_not_fit_the_files_is_refused(finished, tmp_path):
    run = tmp_path / "copy"
    shutil.copytree(finished, run)
    fresh = compiled()
    stack, masks = pairs()
    with pytest.raises(
        RuntimeError, match="holds 3 finished epochs, but the model has made 0; take the model"
    ):
        fresh.fit(
            batches.evaluation_batches(stack, masks, batch_size=4),
            epochs=1, shuffle=False, verbose=0, callbacks=[training.EpochSaver(run)],
        )  # fmt: skip


def test_nan_stops_with_an_explanation():
    unet = compiled()
    broken = np.full((4, 16, 16, 1), np.nan, np.float32)
    with pytest.raises(
        FloatingPointError, match=r"loss is nan after step 1 .* tenth of the learning rate"
    ):
        unet.fit(broken, np.zeros_like(broken), verbose=0, callbacks=[training.StopOnNaN()])


class Spoil(keras.callbacks.Callback):
    """Turns the validation loss of some epochs, counted from 1, into NaN."""

    def __init__(self, *epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in self.epochs:
            logs["val_loss"] = float("nan")


def test_a_nan_of_the_validation_never_counts_as_best(finished, tmp_path):
    run = tmp_path / "nan"
    with pytest.raises(training.Interrupted):
        fit(run, before=[Spoil(1)], callbacks=[InterruptAt(3)])
    assert not (run / "best.keras").exists()
    fit(run, before=[Spoil(3)])
    assert runs.close_run(run)["best_epoch"] == 2
    assert_same_weights(run / "last.keras", finished / "last.keras")
    stack, masks = pairs()
    best = keras.models.load_model(run / "best.keras")
    loss = best.evaluate(batches.evaluation_batches(stack, masks, batch_size=4), verbose=0)[0]
    assert loss == pytest.approx(runs.read_history(finished)["val_loss"][1], abs=1e-5)


def test_nan_on_validation_stops_with_what_to_try_and_is_not_saved(tmp_path):
    stack = np.full((1, 4, 16, 16, 1), np.nan, np.float32)
    broken = list(zip(stack, np.zeros_like(stack), strict=True))
    run = tmp_path / "nan"
    message = "validation loss is nan after epoch 1, .* Try a tenth of the learning rate"
    with pytest.raises(FloatingPointError, match=message):
        fit(run, before=[training.StopOnNaN()], validation=broken[0])
    assert files(run) == {"run.json", "checkpoints"} and kept(run) == []


def dead_head():
    """A model with the original's head whose two last ReLU units can never fire."""
    unet = compiled(head="original", normalization="none")
    kernel, bias = unet.get_layer("conv2d_22").get_weights()
    unet.get_layer("conv2d_22").set_weights([-np.abs(kernel), bias - 1])
    return unet


def test_the_probe_sees_a_dead_head_and_a_living_one():
    stack = pixels.to_float(pairs()[0])
    dead = training.probe(dead_head(), stack)
    assert dead["layer"] == "conv2d_22" and dead["active"] == 0 and dead["min"] == dead["max"]
    alive = training.probe(compiled(), stack)
    assert alive["active"] > 0 and alive["min"] < alive["max"]


def test_headless_runs_print_one_line_per_epoch_and_people_get_a_bar(tmp_path, capsys):
    fit(tmp_path / "text", epochs=2, callbacks=[training.Progress(epochs=2, live=False)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[0] == "a new run: 2 epochs to do"
    assert lines[2].startswith("epoch 2/2  loss ")
    fit(tmp_path / "bar", epochs=2, callbacks=[training.Progress(epochs=2, live=True)])
    bar = capsys.readouterr().out
    assert "4/4" in bar and "val_dice=" in bar and "\r" in bar and "loss=" in bar


def test_one_bar_at_a_time_and_in_the_first_place(tmp_path, monkeypatch, capsys):
    bars = []

    class Bar(training.tqdm):
        def __init__(self, *arguments, **options):
            if bars:  # the interrupted one must not stay on the screen
                assert bars[-1].disable
            super().__init__(*arguments, **options)
            bars.append(self)

    monkeypatch.setattr(training, "tqdm", Bar)
    progress = training.Progress(epochs=3, live=True)  # a notebook keeps its callbacks
    with pytest.raises(training.Interrupted):
        fit(tmp_path / "bar", callbacks=[progress, InterruptAt(3)])
    assert not bars[0].disable and (bars[0].n, bars[0].total) == (3, 6)
    fit(tmp_path / "bar", callbacks=[progress])
    assert len(bars) == 2 and [bar.pos for bar in bars] == [0, 0]
    assert all(bar.disable for bar in bars)  # closed
    assert (bars[1].initial, bars[1].n) == (2, 6)
    assert "6/6" in capsys.readouterr().out


def test_a_bar_is_for_jupyterlab_and_text_for_papermill(monkeypatch):
    for name in ("JPY_SESSION_NAME", "VSCODE_PID"):
        monkeypatch.delenv(name, raising=False)
    assert not training.watched()
    monkeypatch.setenv("JPY_SESSION_NAME", "04_train.ipynb")
    assert training.watched()

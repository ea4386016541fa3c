"""The run on disk: resuming, refusing, warning. One training is really killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import keras
import numpy as np
import pytest

from unet_lib import images, metrics, model, training, workspace

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
    unet = model.build_unet(16, width=2, **{"head": "direct", "normalization": "batch", **options})
    dice = keras.metrics.MeanMetricWrapper(metrics.batch_dice, name="dice")
    optimizer = keras.optimizers.Adam(learning_rate)
    # eager: for a model this small, tracing a graph would take longer than all its steps
    unet.compile(optimizer, metrics.bce_dice, metrics=["accuracy", dice], run_eagerly=True)
    return unet


def fit(run, *, epochs=3, callbacks=()):
    """Train as notebook 04 does; take up what is in `run`."""
    stack, masks = pairs()
    done = training.open_run(run, parameters={**SETTINGS, "epochs": epochs}, data_sha256="d" * 64)
    unet = training.load_state(run) if done else compiled()
    unet.run_eagerly = True
    stream = images.training_batches(
        stack, masks, batch_size=4, epochs=epochs, seed=0, first_epoch=done
    )
    saver = training.EpochSaver(run, first_epoch=done)
    unet.fit(
        stream, validation_data=images.evaluation_batches(stack, masks, batch_size=4),
        epochs=epochs, initial_epoch=done, steps_per_epoch=2, shuffle=False, verbose=0,
        callbacks=[training.SeedDropout(0), saver, *callbacks],
    )  # fmt: skip
    return unet


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of three epochs that came to its end."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    fit(run)
    training.close_run(run, model_parameters=7)
    return run


def numbers(run):
    """The history without the clock."""
    return {k: v for k, v in training.read_history(run).items() if k != "seconds"}


def weights(path):
    return [np.asarray(w) for w in keras.models.load_model(path).weights]


def assert_same_weights(left, right):
    for a, b in zip(weights(left), weights(right), strict=True):
        assert (a == b).all()


def test_a_finished_run_leaves_history_models_and_record(finished):
    history = training.read_history(finished)
    assert history["epoch"] == [1, 2, 3] and all(np.isfinite(v).all() for v in history.values())
    assert {p.name for p in finished.iterdir()} == {
        "best.keras",
        "last.keras",
        "history.csv",
        "run.json",
    }
    record = training.load_run(finished)
    assert (
        record["status"] == "finished" and record["epochs"] == 3 and record["model_parameters"] == 7
    )
    assert record["best_epoch"] == 1 + int(np.argmin(history["val_loss"]))
    assert record["seconds"] == pytest.approx(sum(history["seconds"]), abs=0.1)
    assert record["versions"]["keras"] == keras.__version__ and record["hardware"]["cores"] >= 1


def test_best_is_the_model_of_the_lowest_validation_loss(finished):
    stack, masks = pairs()
    best = keras.models.load_model(finished / "best.keras")
    loss = best.evaluate(images.evaluation_batches(stack, masks, batch_size=4), verbose=0)[0]
    assert loss == pytest.approx(min(training.read_history(finished)["val_loss"]), abs=1e-5)


KILLED = """
import os, sys
sys.path.insert(0, os.path.dirname(sys.argv[2]))
import test_training as t
from pathlib import Path
import keras

class Slow(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        print("step", flush=True)
        if self.model.optimizer.iterations >= 3:  # in the middle of the second epoch
            import time; time.sleep(60)

t.fit(Path(sys.argv[1]), callbacks=[Slow()])
"""


def test_a_killed_run_resumes_and_ends_bit_for_bit_like_an_uninterrupted_one(finished, tmp_path):
    run = tmp_path / "killed"
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(run), __file__]
    process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for _ in range(4):
        assert process.stdout.readline() == "step\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert training.finished_epochs(run) == 1 and not (run / "last.keras").exists()
    with pytest.raises(
        FileNotFoundError, match=r"'killed' has not finished \(1 of 3 epochs\).*resumes"
    ):
        training.load_run(run)
    fit(run)
    assert numbers(run) == numbers(finished)
    assert_same_weights(run / "last.keras", finished / "last.keras")
    assert_same_weights(run / "best.keras", finished / "best.keras")


def test_ctrl_c_loses_no_finished_epoch(finished, tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 5:
                raise KeyboardInterrupt

    run = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        fit(run, callbacks=[Interrupt()])
    assert training.finished_epochs(run) == 2
    fit(run)
    assert numbers(run) == numbers(finished)


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


def test_a_finished_run_trains_no_further(finished):
    before = (finished / "last.keras").stat().st_mtime_ns
    fit(finished)
    assert (finished / "last.keras").stat().st_mtime_ns == before
    assert training.load_run(finished)["epochs"] == 3


def test_other_parameters_or_data_under_the_same_name_are_refused(finished):
    with pytest.raises(
        ValueError, match=r"'whole' was started differently: learning_rate was 0.001, now"
    ):
        changed = {**SETTINGS, "learning_rate": 0.002}
        training.open_run(finished, parameters=changed, data_sha256="d" * 64)
    with pytest.raises(
        ValueError, match=r"data_sha256 was 'ddd.*Choose another run_name, or delete"
    ):
        training.open_run(finished, parameters=SETTINGS, data_sha256="e" * 64)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files but no run.json"):
        training.open_run(tmp_path, parameters=SETTINGS, data_sha256="")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_model_that_does_not_fit_the_files_is_refused(finished, tmp_path):
    run = tmp_path / "copy"
    shutil.copytree(finished, run)
    fresh = compiled()
    stack, masks = pairs()
    with pytest.raises(
        RuntimeError, match="holds 3 finished epochs, but the model has made 0 steps"
    ):
        fresh.fit(
            images.evaluation_batches(stack, masks, batch_size=4), epochs=1, verbose=0,
            callbacks=[training.EpochSaver(run)],
        )  # fmt: skip


def test_results_of_other_data_are_not_evaluated(finished):
    record = training.load_run(finished)
    training.require_same_data(record, "d" * 64)
    record["parameters"]["dataset"] = "phantom"
    with pytest.raises(ValueError, match="'phantom' has changed since .* train again under a new"):
        training.require_same_data(record, "e" * 64)


def test_a_missing_run_names_the_notebook_that_makes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"^runs/none/run.json .* notebooks/04_train.ipynb"):
        training.load_run(workspace.run_dir("none"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("loss", "dicey", r"loss must be one of 'bce', 'bce_dice', 'dice', 'focal', got 'dicey'"),
        ("schedule", "linear", r"schedule must be one of 'constant', 'cosine', got 'linear'"),
        ("precision", "float16", r"precision must be one of .*'mixed_bfloat16'.*, got 'float16'"),
        ("epochs", 0, r"epochs must be a whole number, 1 or more, got 0"),
        ("batch_size", 2.5, r"batch_size must be a whole number, 1 or more, got 2.5"),
        ("learning_rate", 0.0, r"learning_rate must lie between 0 and 1, got 0.0"),
        ("learning_rate", float("nan"), r"learning_rate must lie between 0 and 1, got nan"),
    ],
)
def test_settings_that_cannot_train_are_refused(name, value, message):
    training.check_settings(SETTINGS)
    with pytest.raises(ValueError, match=message):
        training.check_settings({**SETTINGS, name: value})


def test_nan_stops_with_an_explanation():
    unet = compiled()
    broken = np.full((4, 16, 16, 1), np.nan, np.float32)
    with pytest.raises(
        FloatingPointError, match=r"loss is nan after step 1 .* tenth of the learning rate"
    ):
        unet.fit(broken, np.zeros_like(broken), verbose=0, callbacks=[training.StopOnNaN()])


def dead_head():
    """A model with the seed's head whose two last ReLU units can never fire."""
    unet = compiled(head="seed", normalization="none")
    kernel, bias = unet.get_layer("conv2d_22").get_weights()
    unet.get_layer("conv2d_22").set_weights([-np.abs(kernel), bias - 1])
    return unet


def test_the_probe_sees_a_dead_head_and_a_living_one():
    stack = images.to_float(pairs()[0])
    dead = training.probe(dead_head(), stack)
    assert dead["layer"] == "conv2d_22" and dead["active"] == 0 and dead["min"] == dead["max"]
    alive = training.probe(compiled(), stack)
    assert alive["active"] > 0 and alive["min"] < alive["max"]


def test_a_grey_prediction_warns_within_the_first_epochs_only():
    stack = images.to_float(pairs()[0])
    callback = training.GreyWarning(stack, epochs=2)
    callback.set_model(dead_head())
    with pytest.warns(RuntimeWarning, match=r"grey: after epoch 2 .* 0% of the units of conv2d_22"):
        callback.on_epoch_end(1)
    callback.on_epoch_end(2)  # pytest turns a warning into an error


def test_headless_runs_print_one_line_per_epoch_and_people_get_a_bar(tmp_path, capsys):
    fit(tmp_path / "text", epochs=2, callbacks=[training.Progress(epochs=2, live=False)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch 2/2  loss ")
    fit(tmp_path / "bar", epochs=2, callbacks=[training.Progress(epochs=2, live=True)])
    bar = capsys.readouterr().out
    assert "4/4" in bar and "val_dice=" in bar and "\r" in bar and "loss=" in bar


def test_a_bar_is_for_jupyterlab_and_text_for_papermill(monkeypatch):
    for name in ("JPY_SESSION_NAME", "VSCODE_PID"):
        monkeypatch.delenv(name, raising=False)
    assert not training.watched()
    monkeypatch.setenv("JPY_SESSION_NAME", "04_train.ipynb")
    assert training.watched()


def test_json_is_written_whole(tmp_path):
    path = tmp_path / "x.json"
    training.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        training.write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1} and os.listdir(tmp_path) == ["x.json"]

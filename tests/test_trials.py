"""Trials of notebook 07: what is spoiled is spoiled, what judges judges, a whole run is whole."""

import json

import numpy as np
import pytest

from unet_lib import (
    datasets,
    experiments,
    metrics,
    parameters,
    phantom,
    prediction,
    runs,
    trials,
)  # fmt: skip
from unet_lib.intake import prepare

SETTINGS = {
    "dataset": "d", "image_size": 32, "batch_size": 4, "learning_rate": 0.002, "epochs": 2,
    "seed": 0, "width": 2, "head": "direct", "normalization": "batch", "standardize": False,
    "dropout": 0.5, "loss": "bce_dice", "schedule": "cosine", "augment": True,
    "augmentation_strength": 1.0, "precision": "float32",
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("trials")
    phantom.write_primary_tree(root / "source", train=8, test=0, seed=1)
    split = prepare.restructure(root / "source", root / "data", val_fraction=0.4)["split"]
    return root / "data", split["train"], split["validation"]


def test_every_suspect_changes_one_thing():
    known = trials.variants(64)
    ours = experiments.BEST | {"image_size": 64}
    original = experiments.ORIGINAL | {"image_size": 64}
    of_the_original = {"grey masks", "the original's, mispaired", "the original's, no dropout",
                       "one epoch"}
    assert of_the_original < {name for _, name in known} and len(known) == 23
    for (_, name), recipe in known.items():
        base = original if name in of_the_original else ours
        changed = {key for key in recipe if recipe[key] != base.get(key)}
        assert 0 < len(changed) <= 2 or name == "bce_dice", name
    assert known["size", "then images × 4"]["first_size"] == 64
    assert known["death", "one epoch"]["image_size"] == 32


def test_those_chosen_and_our_recipe_are_tried():
    known = {("ladder", trials.OURS): {}, ("ladder", "x"): {}} | trials.variants(32)
    chosen = trials.choose(known, "dropout, loss")
    assert {suspect for suspect, _ in chosen} == {"ladder", "dropout", "loss"}
    assert ("ladder", "x") not in chosen and ("ladder", trials.OURS) in chosen
    assert trials.choose(known, "all") == known
    with pytest.raises(ValueError, match="suspects must be 'all' or some of ladder, .*; got 'x'"):
        trials.choose(known, "x")
    for name in dict.fromkeys(suspect for suspect, _ in known):
        parameters.check(suspects=name)  # what is known here is allowed before anything runs
    with pytest.raises(ValueError) as caught:
        parameters.check(suspects="x")
    allowed = str(caught.value).partition("some of ")[2].partition(", comma")[0].split(", ")
    assert {*allowed} == {suspect for suspect, _ in known}


def test_all_trials_with_one_seed_come_before_the_next_and_death_has_twenty(data):
    known = {("ladder", trials.OURS): {"image_size": 32}, ("death", "one epoch"): {}}
    keys = [key for key, _ in trials.tasks(known, *data, epochs=3, seeds=2)]
    assert [(k["variant"], k["seed"]) for k in keys[:4]] == [
        (trials.OURS, 0), ("one epoch", 0), (trials.OURS, 1), ("one epoch", 1)]
    assert len(keys) == 2 + 20 and keys[0]["pairs"] == len(data[1]) and keys[0]["size"] == 32


def test_data_are_spoiled_as_asked(data):
    folder, ids, _ = data
    pictures, masks = trials.load(folder, ids, {"image_size": 32})
    same, soft = trials.load(folder, ids, {"image_size": 32, "soft": True})
    assert np.array_equal(pictures, same) and 0 < np.mean((soft > 0) & (soft < 1)) < 0.5
    _, wrong = trials.load(folder, ids, {"image_size": 32, "mispaired": 1.0})
    assert not any(np.array_equal(a, b) for a, b in zip(masks, wrong, strict=True))
    assert sorted(m.tobytes() for m in masks) == sorted(m.tobytes() for m in wrong)
    _, half = trials.load(folder, ids, {"image_size": 32, "mispaired": 0.4})
    assert sum(not np.array_equal(a, b) for a, b in zip(masks, half, strict=True)) == 2


def test_a_frame_keeps_a_pairs_shape_and_shrinks_it():
    for shape in ((64, 48), (101, 77)):
        found = trials.framed(np.full(shape, 200, np.uint8))
        assert found.shape == shape and found[0, 0] == found[-1, -1] == 0
        assert found[shape[0] // 2, shape[1] // 2] == 200
        assert np.mean(found > 0) == pytest.approx(0.75**2, abs=0.03)


def test_a_measurement_has_every_column_and_can_be_repeated(data, monkeypatch):
    recipe = experiments.BEST | {"image_size": 32, "width": 2, "batch_size": 4}
    first = trials.measure(*data, recipe, epochs=1, seed=0)
    again = trials.measure(*data, recipe, epochs=1, seed=0)
    assert {**first, "seconds": 0} == {**again, "seconds": 0}
    assert set(first) == {"dice", "exposure", "framing", "seen_accuracy", "seen_loss", "active",
                          "probability_range", "seconds"}
    small = recipe | {"image_size": 64, "first_size": 32}
    trained, train = [], experiments.train

    def watched(arrays, recipe, *, start=None, **known):
        trained.append((arrays[0].shape[1], start is not None))
        return train(arrays, recipe, start=start, **known)

    monkeypatch.setattr(experiments, "train", watched)
    assert set(trials.measure(*data, small, epochs=1, seed=0)) == set(first)
    assert trained == [(32, False), (64, True)]


def test_a_whole_run_is_finished_when_it_is_asked_for_again(data, tmp_path, capsys):
    folder, _, ids = data
    run = tmp_path / "runs" / "quick_recipe"
    record = trials.train_run(run, folder, SETTINGS)
    before = (run / "best.keras").read_bytes()
    assert record["status"] == "finished" and record["parameters"] == SETTINGS
    assert {"run.json", "best.keras", "last.keras", "history.csv"} <= {
        path.name for path in run.iterdir()}
    capsys.readouterr()
    assert trials.train_run(run, folder, SETTINGS)["best_epoch"] == record["best_epoch"]
    assert "2 of 2 epochs done, finished" in capsys.readouterr().out
    assert (run / "best.keras").read_bytes() == before
    assert json.loads((run / "run.json").read_text())["seconds"] == record["seconds"]
    with pytest.raises(ValueError, match="was started differently: seed was 0, now 1"):
        trials.train_run(run, folder, SETTINGS | {"seed": 1})
    found = trials.judge_run(run, folder, ids)
    image, mask = datasets.read_pair(folder, ids[0])
    unet = prediction.load(run / "best.keras")
    guess = prediction.predict(unet, image) >= 0.5
    assert found["dice"][0] == pytest.approx(metrics.dice(mask, guess), abs=1e-4)
    assert len(found["hd95"]) == len(ids)
    assert 0 <= found["ece"][0] <= 1 and runs.load_run(run)["parameters"] == SETTINGS

"""Recipes: the same seed trains the same model, a start is taken over, a table goes on."""

import cross_validation
import cv2
import keras
import numpy as np
import pytest
import yaml

from unet_lib import dataset, experiments, images, metrics, model, workspace

TINY = experiments.SEED | {"image_size": 16, "width": 2, "batch_size": 4, "learning_rate": 0.01}
KEY = {"variant": "a", "seed": 0}


def squares(count=6, size=16):
    """Bright squares on noise, (N, size, size) uint8, and where they are."""
    rng = np.random.default_rng(0)
    masks = np.zeros((count, size, size), np.uint8)
    for mask in masks:
        top, left = rng.integers(1, size // 2, 2)
        mask[top : top + size // 2, left : left + size // 2] = 1
    noise = rng.integers(0, 60, masks.shape, np.uint8)
    return noise + masks * np.uint8(150), masks


def weights(recipe=TINY, *, seed=0, epochs=1, start=None):
    arrays = squares(size=recipe["image_size"])
    unet, seconds = experiments.train(arrays, recipe, epochs=epochs, seed=seed, start=start)
    assert seconds > 0  # of CPU time
    return [np.array(weight) for weight in unet.get_weights()]


def same(one, other):
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def close(one, other):
    return all(np.allclose(a, b, atol=1e-6) for a, b in zip(one, other, strict=True))


# ------------------------------------------------------------------------------------- training


def test_seeds_reproduce_with_dropout_and_augmentation():
    recipe = TINY | {"augment": "intensity"}
    first = weights(recipe)
    assert same(first, weights(recipe))
    assert not same(first, weights(recipe, seed=1))


@pytest.fixture
def built(monkeypatch):
    """Build and compile as `train` does, but do not train; return the model and fit's arguments."""
    def build(change, epochs=3):
        seen = {}
        real = images.training_batches
        monkeypatch.setattr(images, "training_batches",
                            lambda *a, **options: seen.update(options) or real(*a, **options))
        monkeypatch.setattr(keras.Model, "fit", lambda self, *a, **options: seen.update(options))
        unet, _ = experiments.train(squares(6), TINY | change, epochs=epochs, seed=4)
        monkeypatch.undo()
        return unet, seen
    return build


def test_each_setting_reaches_the_training(built):
    unet, seen = built({})
    assert (seen["batch_size"], seen["epochs"], seen["seed"], seen["augment"]) == (4, 3, 4, None)
    assert seen["steps_per_epoch"] == 2  # the last batch of an epoch is smaller
    assert unet.loss == "binary_crossentropy" and unet.get_layer("conv2d_22").filters == 2
    assert float(unet.optimizer.learning_rate) == pytest.approx(0.01)
    assert built({"loss": "dice"})[0].loss is metrics.soft_dice
    assert float(built({"learning_rate": 0.5})[0].optimizer.learning_rate) == 0.5
    assert built({"dropout": 0.25})[0].get_layer("dropout").rate == 0.25
    assert not built({"augment": "intensity"})[1]["augment"].geometry
    assert built({"batch_size": 3})[1]["batch_size"] == 3
    assert built({"head": "direct"})[0].layers[-1].input.shape[-1] == 2  # width 2, no head
    assert built({"normalization": "batch"})[0].get_layer("batch_normalization")
    assert built({"standardize": True})[0].get_layer("group_normalization")
    turn = built({"augment": "geometry", "strength": 2.0})[1]["augment"].geometry[0]
    assert turn.factor[1] == pytest.approx(2 * 6 / 360)
    assert built({"width": 3})[0].get_layer("conv2d").filters == 3


def test_cosine_ends_at_zero(built):
    optimizer = built({"schedule": "cosine"}, epochs=3)[0].optimizer
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    optimizer.iterations.assign(3 * 2)
    assert float(optimizer.learning_rate) == pytest.approx(0, abs=1e-9)


def test_start_takes_over_weights_across_image_sizes():
    keras.utils.set_random_seed(7)
    start = model.build_unet(16, width=2)
    still = TINY | {"image_size": 32, "learning_rate": 1e-12}  # what was taken over stays
    before = start.get_weights()
    taken = weights(still, start=start)
    assert close(taken, before) and same(before, start.get_weights())
    assert not close(model.build_unet(32, width=2).get_weights(), taken)


def test_soft_masks_are_not_thresholded():
    pictures, masks = squares()
    ends = [
        experiments.train((pictures, truth), TINY, epochs=1, seed=0)[0].get_weights()
        for truth in (masks, masks * 0.4)
    ]
    assert not same(*ends)


def test_a_model_without_dropout_can_be_trained():
    assert weights(TINY | {"dropout": 0.0})  # Keras gives such a layer no state to set


# -------------------------------------------------------------------------------------- scoring


@pytest.fixture(scope="module")
def threshold_model():
    """A model that says lung where the image is brighter than a half."""
    image = keras.Input((16, 16, 1))
    steep = keras.layers.Conv2D(1, 1, activation="sigmoid")
    unet = keras.Model(image, steep(image))
    steep.set_weights([np.full((1, 1, 1, 1), 100.0), np.array([-50.0])])
    return unet


def pair(height, width, columns):
    """An image that is bright in its left columns, and a mask of its left half."""
    image, mask = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    image[:, :columns], mask[:, : width // 2] = 255, 1
    return image, mask


def test_prediction_has_the_images_own_size(threshold_model):
    found = experiments.predict(threshold_model, [pair(48, 32, 16), pair(32, 64, 32)])
    assert [(p.shape, p.dtype) for p in found] == [((48, 32), np.float32), ((32, 64), np.float32)]
    assert np.array_equal(found[1] >= 0.5, pair(32, 64, 32)[1])


def test_scores_are_means_over_images_at_their_own_size(threshold_model):
    right, wide = pair(32, 32, 16), pair(32, 64, 48)  # the second finds 48 columns instead of 32
    scores = experiments.score(threshold_model, [right, wide])
    assert scores["dice"] == pytest.approx((1 + 2 * 32 / (32 + 48)) / 2)
    assert scores["accuracy"] == pytest.approx((1 + 0.75) / 2)
    assert 0.2 < 2 * scores["hd95"] <= 16 / 64  # of the image's width
    assert experiments.mean_dice(threshold_model, [right, wide]) == pytest.approx(scores["dice"])


def test_pairs_are_read_in_order_at_their_own_size(tmp_path):
    source = tmp_path / "source"
    for folder in ("images", "masks"):
        (source / folder).mkdir(parents=True)
    pairs = {f"P{k}": pair(40 + k, 32, 8 + k) for k in range(8)}
    for name, arrays in pairs.items():
        for folder, array, top in zip(("images", "masks"), arrays, (1, 255), strict=True):
            assert cv2.imwrite(str(source / folder / f"{name}.png"), array * np.uint8(top))
    dataset.restructure(source, tmp_path / "data")
    for name, (image, mask) in zip(("P5", "P1"), experiments.read_pairs(
            tmp_path / "data", ["P5", "P1"]), strict=True):
        assert np.array_equal(image, pairs[name][0]) and np.array_equal(mask, pairs[name][1])


# ------------------------------------------------------------------------------------ the table


def test_remember_measures_once(tmp_path):
    path, calls = tmp_path / "deep" / "table.csv", []

    def measure():
        calls.append(1)
        return {"dice": 0.5, "note": ""}

    first = experiments.remember(path, KEY, measure)
    assert first == experiments.remember(path, KEY, measure) == KEY | {"dice": 0.5, "note": ""}
    assert experiments.remember(path, KEY | {"seed": 1}, measure)["seed"] == 1
    assert len(calls) == 2 and len(experiments.read_table(path)) == 2


@pytest.mark.parametrize("value", ["1e3", "0.10", "1_0", "nan", "007", "a, b", 0.1, 1e-3, 3])
def test_remember_knows_every_key_again(tmp_path, value):
    for _ in range(2):
        experiments.remember(tmp_path / "t.csv", {"key": value, "k": "x"}, lambda: {"dice": 1})
    assert len(experiments.read_table(tmp_path / "t.csv")) == 1


def test_remember_survives_an_interrupt(tmp_path):
    path = tmp_path / "table.csv"

    def interrupted():
        raise KeyboardInterrupt

    experiments.remember(path, KEY, lambda: {"dice": 0.5})
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        experiments.remember(path, KEY | {"seed": 1}, interrupted)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    experiments.remember(path, KEY | {"seed": 1}, lambda: {"dice": 0.6})
    assert [row["dice"] for row in experiments.read_table(path)] == [0.5, 0.6]


def test_a_kill_while_writing_leaves_the_old_table(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    experiments.remember(path, KEY, lambda: {"dice": 0.5})
    before = path.read_bytes()

    def killed(*_):
        raise SystemExit

    monkeypatch.setattr(experiments.os, "replace", killed)
    with pytest.raises(SystemExit):
        experiments.remember(path, KEY | {"seed": 1}, lambda: {"dice": 0.6})
    assert path.read_bytes() == before
    monkeypatch.undo()
    experiments.remember(path, KEY | {"seed": 1}, lambda: {"dice": 0.7})
    assert [row["dice"] for row in experiments.read_table(path)] == [0.5, 0.7]


def test_each_row_is_saved_before_the_next_is_measured(tmp_path):
    path, sizes = tmp_path / "table.csv", []

    def measure():
        sizes.append(len(experiments.read_table(path)) if path.exists() else 0)
        return {"dice": 0.5}

    tasks = [(KEY | {"seed": k}, measure) for k in range(3)]
    assert [row["seed"] for row in experiments.remember_all(path, tasks)] == [0, 1, 2]
    assert sizes == [0, 1, 2]


def test_time_is_up_and_the_next_call_goes_on(tmp_path, capsys, monkeypatch):
    path, clock = tmp_path / "table.csv", iter(range(0, 10000, 50))  # each look is 50 s later
    monkeypatch.setattr(experiments.time, "monotonic", lambda: next(clock))
    tasks = [(KEY | {"seed": k}, lambda: {"dice": 0.5}) for k in range(3)]
    assert len(list(experiments.remember_all(path, tasks, minutes=1))) == 1
    assert "time is up; run it again" in capsys.readouterr().out
    assert len(list(experiments.remember_all(path, tasks))) == 3  # 0 sets no limit
    assert capsys.readouterr().out == ""


def test_table_with_comments(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("# data: x\n# command: y, z\nname,dice,n,note\n\"a, b\",0.50,3,\n", "utf-8")
    assert experiments.read_table(path) == [{"name": "a, b", "dice": 0.5, "n": 3, "note": ""}]
    assert isinstance(experiments.read_table(path)[0]["n"], int)


def test_column_and_show(capsys):
    rows = [{"variant": "a", "dice": 0.5, "seconds": 3}, {"variant": "b", "dice": 0, "seconds": 1},
            {"variant": "a", "dice": 0.7, "seconds": 5}]
    assert experiments.column(rows, "a").tolist() == [0.5, 0.7]
    assert experiments.column(rows, "a", "seconds").tolist() == [3, 5]
    assert len(experiments.column(rows, "none")) == 0
    experiments.show(rows, ["b", "none", "a"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith("b ")
    assert lines[1].split() == "a 4 s dice 0.600 (0.500 to 0.700)".split()


def test_best_differs_from_seed_in_what_the_notebook_says():
    changed = {k for k, value in experiments.SEED.items() if experiments.BEST[k] != value}
    assert changed == {"head", "normalization", "loss", "learning_rate", "schedule", "augment"}
    assert experiments.BEST["loss"] in metrics.LOSSES and images.steps_per_epoch(425, 10) == 43


def test_cross_validation_deals_each_pair_once_and_evenly():
    ids = [f"P{k:03}_{int(k % 3 == 0)}" for k in range(100)]
    parts = cross_validation.folds(ids)
    assert sorted(sum(parts, [])) == ids and [len(part) for part in parts] == [20] * 5
    assert all(6 <= sum(name.endswith("_1") for name in part) <= 8 for part in parts)
    assert parts == cross_validation.folds(ids[::-1])


def test_cross_validation_trains_what_the_file_says():
    values = yaml.safe_load((workspace.PROJECT / "notebooks/params/best.yaml").read_text("utf-8"))
    settings = cross_validation.recipe(values)
    assert set(settings) == set(experiments.SEED) and settings["augment"] == "both"
    same = set(settings) & set(values) - {"augment"}
    assert len(same) > 8 and all(settings[name] == values[name] for name in same)


def test_cross_validation_holds_out_what_it_scores(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(experiments, "train", lambda arrays, *a, **k: (seen.update(a=arrays), 2.4))
    monkeypatch.setattr(cross_validation.images, "open_arrays", lambda f, ids, **k: ids)
    truth = np.eye(4, dtype=np.uint8)
    monkeypatch.setattr(experiments, "read_pairs", lambda f, ids: [(truth, truth) for _ in ids])
    monkeypatch.setattr(experiments, "predict", lambda u, pairs: [truth * 0.6, truth * 0.4])
    values = {"image_size": 32, "epochs": 1}
    row = cross_validation.measure(tmp_path, ["a", "b"], ["a", "b", "c", "d"], values)
    assert seen["a"] == ["c", "d"] and row == {"seconds": 2, "dice": "1.00000 0.00000"}


def test_cross_validation_tells_masks_with_the_heart_by_their_gap():
    mask = np.zeros((100, 120), np.uint8)
    mask[10:90, 20:50] = mask[10:90, 80:100] = 1
    assert cross_validation.gap(mask) == 30 / 80
    mask[50:90, 60:80] = 1
    assert cross_validation.gap(mask) == 10 / 80
    mask[64, 50:80] = 0  # one row in the level, 58 to 66
    assert cross_validation.gap(mask) == 30 / 80


def test_cross_validation_scores_both_styles_of_masks(tmp_path, monkeypatch, capsys):
    scores = {"wide_0": 0.9, "wide_1": 0.8, "narrow_0": 0.5, "narrow_1": 0.4, "wide_2": 0.7}
    masks = tmp_path / "data" / "toy" / "train" / "masks"
    masks.mkdir(parents=True)
    for name in scores:
        mask = np.zeros((100, 120), np.uint8)
        mask[10:90, 20 : 70 if name.startswith("narrow") else 50] = mask[10:90, 80:100] = 255
        cv2.imwrite(str(masks / f"{name}.png"), mask)
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    split = {"train": list(scores)[:3], "validation": list(scores)[3:]}
    monkeypatch.setattr(cross_validation.dataset, "load_manifest", lambda f: {"split": split})
    given = {"seconds": 1}
    monkeypatch.setattr(
        cross_validation,
        "measure",
        lambda f, held, i, v: given | {"dice": " ".join(str(scores[name]) for name in held)},
    )
    for dropout in (0.5, 0.0, 0.5):  # another recipe under the same name is measured anew
        (tmp_path / "toy.yaml").write_text(f"dataset: toy\ndropout: {dropout}\n", "utf-8")
        given["seconds"] += 1
        capsys.readouterr()
        cross_validation.main(str(tmp_path / "toy.yaml"), str(tmp_path / "table.csv"))
    rows = experiments.read_table(tmp_path / "table.csv")
    assert [row["seconds"] for row in rows] == [2] * 5 + [3] * 5
    lines = capsys.readouterr().out.splitlines()
    assert [line.rsplit(" (")[0] for line in lines[5:]] == [
        "all 5: 0.6600",
        "gap below 0.3: 2: 0.4500",
        "gap of 0.3 or more: 3: 0.8000",
        "gap below 0.3 in narrow_0 narrow_1",
    ]

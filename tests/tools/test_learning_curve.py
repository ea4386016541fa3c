"""tools/learning_curve.py: nested pairs, as many updates for few as for many, rows that resume."""

import keras
import learning_curve
import numpy as np
import pytest
import yaml

from unet_lib import batches, datasets, experiments, phantom, prediction, tables, workspace
from unet_lib.intake import prepare

IDS = [f"P{number:03}" for number in range(40)]


def test_the_recipe_is_what_the_file_says():
    values = yaml.safe_load((workspace.PROJECT / "notebooks/params/best.yaml").read_text("utf-8"))
    settings = learning_curve.recipe(values)
    assert set(settings) == set(experiments.ORIGINAL) and settings["augment"] == "both"
    same = set(settings) & set(values) - {"augment"}
    assert len(same) > 8 and all(settings[name] == values[name] for name in same)


def test_fewer_pairs_are_among_the_more_and_a_seed_draws_others():
    few, many = (learning_curve.draw(IDS, count, 0) for count in (10, 25))
    assert many[:10] == few and len(set(many)) == 25
    assert learning_curve.draw(IDS[::-1], 10, 0) == few != learning_curve.draw(IDS, 10, 1)


@pytest.mark.parametrize("count", [1, 5, 7, 10, 200, 425])
def test_few_pairs_give_as_many_updates_as_many(count):
    epochs = learning_curve.epochs_for(510, count, 5)
    steps = batches.steps_per_epoch(count, 5)
    assert 510 <= epochs * steps < 510 + steps


def test_a_score_is_that_of_all_pictures(monkeypatch, tmp_path):
    truth = np.zeros((8, 10), np.uint8)
    truth[2:6, 2:6] = 1
    found = [truth * np.float32(0.6)] * 19 + [truth * np.float32(0.4)]
    monkeypatch.setattr(datasets, "read_pairs", lambda f, ids: ((truth, truth) for _ in ids))
    monkeypatch.setattr(prediction, "predict_all", lambda unet, images: (
        guess for _, guess in zip(images, found, strict=True)))  # fmt: skip
    said = learning_curve.score(None, tmp_path, IDS[:20])
    assert said == {"dice": 0.95, "dice_p5": 0.95, "hd95_median": 0.0}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A data set of phantoms and a file for it, a small shipped model, three pairs at most."""
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    phantom.write_primary_tree(tmp_path / "source", train=4, test=0)
    prepare.restructure(tmp_path / "source", workspace.data_dir("toy"), val_fraction=0.25)
    monkeypatch.setattr(learning_curve, "SIZE", 32)
    monkeypatch.setattr(learning_curve, "NEW", (3, 9))
    monkeypatch.setattr(learning_curve, "TUNED", (2,))
    monkeypatch.setattr(learning_curve, "SEEDS", (0,))
    file = tmp_path / "toy.yaml"
    file.write_text("dataset: toy\nepochs: 2\nbatch_size: 2\nnormalization: batch\n"
                    "head: direct\nstandardize: true\nlearning_rate: 0.001\n", "utf-8")
    return file


def test_rows_are_measured_once_and_tuning_starts_from_the_shipped_model(small, monkeypatch):
    asked, train = [], experiments.train

    def watch(arrays, recipe, *, epochs, seed, start=None):
        asked.append((len(arrays[0]), epochs, recipe["normalization"], recipe["learning_rate"],
                      start is not None))
        return train(arrays, recipe, epochs=epochs, seed=seed, start=start)

    monkeypatch.setattr(experiments, "train", watch)
    table = small.with_name("table.csv")
    learning_curve.main(str(small), str(table))
    rows = tables.read(table)
    assert [(row["kind"], row["pairs"], row["updates"], row["size"]) for row in rows] == [
        ("shipped", 0, 0, 32), ("shipped", 0, 0, 128), ("new", 3, 4, 32),
        ("tuned", 2, 1, 32)]  # 9 pairs are more than there are
    assert asked == [(3, 2, "batch", 0.001, False), (2, 1, "none", 0.0002, True)]
    assert rows[1]["dice"] > 0.9 and all(0 <= row["dice_p5"] <= row["dice"] for row in rows)
    table.write_text("".join(table.read_text("utf-8").splitlines(True)[:-1]), "utf-8")
    learning_curve.main(str(small), str(table))
    assert len(asked) == 3 and asked[-1] == asked[-2]  # the row that was missing, and no other
    keras.backend.clear_session()

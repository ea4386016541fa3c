"""Cross-validation: the folds, the recipe, what is held out, and the two styles of masks."""

import sys

import cv2
import numpy as np
import yaml

from unet_lib import batches, datasets, experiments, prediction, workspace

sys.path.insert(0, str(workspace.PROJECT / "tools"))
import cross_validation


def test_cross_validation_deals_each_pair_once_and_evenly():
    ids = [f"P{k:03}_{int(k % 3 == 0)}" for k in range(100)]
    parts = cross_validation.folds(ids)
    assert sorted(sum(parts, [])) == ids and [len(part) for part in parts] == [20] * 5
    assert all(6 <= sum(name.endswith("_1") for name in part) <= 8 for part in parts)
    assert parts == cross_validation.folds(ids[::-1])


def test_cross_validation_trains_what_the_file_says():
    values = yaml.safe_load((workspace.PROJECT / "notebooks/params/best.yaml").read_text("utf-8"))
    settings = cross_validation.recipe(values)
    assert set(settings) == set(experiments.ORIGINAL) and settings["augment"] == "both"
    same = set(settings) & set(values) - {"augment"}
    assert len(same) > 8 and all(settings[name] == values[name] for name in same)


def test_cross_validation_holds_out_what_it_scores(tmp_path, monkeypatch):
    seen, reads = {}, []
    truth = np.eye(4, dtype=np.uint8)

    def read_pair(folder, name):
        reads.append(name)
        return truth, truth

    def predict_all(unet, images):
        for factor, _ in zip((0.6, 0.4), images, strict=True):
            seen.setdefault("read", len(reads))
            yield truth * factor

    monkeypatch.setattr(experiments, "train", lambda arrays, *a, **k: (seen.update(a=arrays), 2.4))
    monkeypatch.setattr(batches, "open_arrays", lambda f, ids, **k: ids)
    monkeypatch.setattr(datasets, "read_pair", read_pair)
    monkeypatch.setattr(prediction, "predict_all", predict_all)
    values = {"image_size": 32, "epochs": 1}
    row = cross_validation.measure(tmp_path, ["a", "b"], ["a", "b", "c", "d"], values)
    assert seen["a"] == ["c", "d"] and row == {"seconds": 2, "dice": "1.00000 0.00000"}
    assert reads == ["a", "b"] and seen["read"] == 1  # one pair at a time, each once


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
    monkeypatch.setattr(cross_validation.datasets, "load_manifest", lambda f: {"split": split})
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

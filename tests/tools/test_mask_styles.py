"""The two styles of masks, and their scores out of a cross-validation."""

import cv2
import mask_styles
import numpy as np
import pytest

from unet_lib import workspace

SCORES = {"wide_0": 0.9, "wide_1": 0.8, "narrow_0": 0.5, "narrow_1": 0.4, "wide_2": 0.7}


def test_masks_with_the_heart_are_told_by_their_gap():
    mask = np.zeros((100, 120), np.uint8)
    mask[10:90, 20:50] = mask[10:90, 80:100] = 1
    assert mask_styles.gap(mask) == 30 / 80
    mask[50:90, 60:80] = 1
    assert mask_styles.gap(mask) == 10 / 80
    mask[64, 50:80] = 0  # one row in the level, 58 to 66
    assert mask_styles.gap(mask) == 30 / 80


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A finished sweep of two folds over five masks."""
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    masks = tmp_path / "data" / "toy" / "train" / "masks"
    masks.mkdir(parents=True)
    for name in SCORES:
        mask = np.zeros((100, 120), np.uint8)
        mask[10:90, 20 : 70 if name.startswith("narrow") else 50] = mask[10:90, 80:100] = 255
        cv2.imwrite(str(masks / f"{name}.png"), mask)
    home, ids = workspace.run_dir("folds"), list(SCORES)
    workspace.write_json(home / "plan.json", {
        "points": {name: {"dataset": "toy"} for name in ("one", "two")}})  # fmt: skip
    for name, part in (("one", ids[:3]), ("two", ids[3:])):
        workspace.write_json(home / name / "point.json", {"ok": True, "metrics": {
            "per_image": {"ids": part, "dice": [SCORES[i] for i in part]}}})  # fmt: skip
    return home


def test_both_styles_are_scored(sweep, capsys):
    mask_styles.main("folds")
    assert [line.rsplit(" (")[0] for line in capsys.readouterr().out.splitlines()] == [
        "all 5: 0.6600",
        "gap below 0.3: 2: 0.4500",
        "gap of 0.3 or more: 3: 0.8000",
        "gap below 0.3 in narrow_0 narrow_1",
    ]


def test_what_is_no_whole_cross_validation_is_refused(sweep):
    with pytest.raises(SystemExit, match="there is no sweep in .*elsewhere; run its file first"):
        mask_styles.main("elsewhere")
    workspace.write_json(sweep / "two" / "point.json", {"ok": True, "metrics": {
        "per_image": {"ids": ["wide_0"], "dice": [0.1]}}})  # fmt: skip
    with pytest.raises(SystemExit, match="folds scored wide_0 twice; this needs one setting"):
        mask_styles.main("folds")
    (sweep / "two" / "point.json").unlink()
    with pytest.raises(SystemExit, match="two is not done; the sweep's command goes on"):
        mask_styles.main("folds")

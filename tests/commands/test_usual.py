"""What is usual for a model: learned from pairs, kept beside it, found again."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from unet_lib import datasets, phantom, runs, workspace
from unet_lib.commands import usual
from unet_lib.intake import prepare

WEIGHTS = workspace.PROJECT / "unet_lib" / "weights"


def boxes(*places, side=64):
    """A mask (side, side) bool with boxes (top, bottom, left, right)."""
    mask = np.zeros((side, side), bool)
    for top, bottom, left, right in places:
        mask[top:bottom, left:right] = True
    return mask


def pairs(count=40, **changes):
    """Two boxes, a little larger each time, in pictures that are dark there."""
    for k in range(count):
        mask = boxes((10, 40 + k % 10, 8, 26), (10, 40 + k % 10, 38, 56))
        yield np.where(mask, 40, 160).astype(np.uint8), mask


def test_the_usual_area_is_that_of_nearly_all_masks_and_a_fifth_more():
    shares = [mask.mean() for _, mask in pairs()]
    low, high = usual.learn(pairs()).area
    assert low == pytest.approx(.8 * min(shares), rel=.01)
    assert high == pytest.approx(1.2 * max(shares), rel=.01)


def test_parts_are_expected_where_nine_in_ten_masks_agree():
    one = [(np.full((64, 64), 90, np.uint8), boxes((5, 60, 5, 60)))]
    assert usual.learn([*pairs(90), *10 * one]).parts == 2
    assert usual.learn([*pairs(89), *11 * one]).parts is None


@pytest.mark.parametrize("corner, speck, parts", [(True, 0, 1), (False, 1, 2), (False, 5, 3)])
def test_parts_touch_at_corners_and_specks_are_none(corner, speck, parts):
    places = [(0, 20, 0, 20), (20, 40, 20, 40)] if corner else [(0, 20, 0, 20), (30, 50, 0, 20)]
    assert usual.count_parts(boxes(*places, (60, 60 + min(speck, 4), 40, 40 + speck))) == parts


def test_a_shape_is_the_same_wherever_it_lies_and_however_large_it_is():
    small = boxes((0, 16, 0, 8), (8, 16, 8, 16))
    large = cv2.resize(np.roll(small, (20, 30), (0, 1)).astype(np.uint8), (128, 128)) > 0
    assert usual.alike(usual.shape_of(small), usual.shape_of(large)) > .95
    assert usual.alike(usual.shape_of(small), usual.shape_of(small[:, ::-1])) < .7
    assert not usual.shape_of(np.zeros((9, 9), bool)).any()


def test_likeness_is_pearsons():
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 16, 16))
    other += one
    assert usual.alike(one, other) == pytest.approx(np.corrcoef(one.ravel(), other.ravel())[0, 1])
    assert usual.alike(one, np.ones((16, 16))) == 0


def test_masks_of_the_training_are_like_their_mean_and_the_limit_lies_below():
    limits = usual.learn(pairs())
    worst = min(usual.alike(usual.shape_of(mask), limits.shape) for _, mask in pairs())
    assert worst - .08 < limits.likeness < worst


def test_pictures_with_nothing_in_common_have_no_usual_look():
    rng = np.random.default_rng(0)
    noise = [(rng.integers(0, 256, (64, 64), np.uint8), mask) for _, mask in pairs()]
    turned = [(255 - image if k % 2 else image, mask) for k, (image, mask) in enumerate(pairs())]
    assert usual.learn(pairs()).picture is not None
    assert usual.learn(noise).picture is None and usual.learn(turned).picture is None


def test_empty_masks_are_no_trouble():
    empty = [(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8))] * 3
    assert usual.learn([*pairs(), *empty]).area[0] == 0
    assert usual.learn(empty).parts == 0


def test_what_is_written_beside_a_model_is_found_again(tmp_path):
    model = tmp_path / "knees.keras"
    model.write_bytes(b"")
    for known in ({"doubt": .3, "chests": True}, {}):
        limits = usual.learn(pairs(), **known)
        usual.write(limits, tmp_path / "knees.json")
        found = usual.limits_for(model)
        assert (found.parts, found.doubt, found.chests) == (2, limits.doubt, limits.chests)
        assert found.area == pytest.approx(limits.area, abs=1e-4)
        assert np.abs(found.shape - limits.shape).max() < .01
        assert np.abs(found.picture - limits.picture).max() < 1
        assert json.loads((tmp_path / "knees.json").read_text())["area"] == [
            round(share, 4) for share in limits.area]  # fmt: skip
    bare = usual.Limits(doubt=.2)  # nothing is known but how much doubt is usual
    assert usual.from_record(json.loads(json.dumps(usual.to_record(bare)))) == bare


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"area": [0, 1], "shape": 1, "picture": 1}'])
def test_another_json_file_beside_a_model_is_named(tmp_path, text):
    (tmp_path / "m.keras").write_bytes(b"")
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ValueError, match=r"m\.json cannot be read as what is usual.*move it away"):
        usual.limits_for(tmp_path / "m.keras")


def test_the_shipped_limits_are_those_of_the_phantoms_that_the_model_learned_from():
    limits = usual.limits_for(WEIGHTS / "lungs.keras")
    drawn = [phantom.draw((0, k), size=96, variety="wide") for k in range(30)]
    again = usual.learn((image, mask) for image, mask, _ in drawn)
    assert (limits.parts, limits.chests) == (2, True)
    assert usual.alike(limits.shape, again.shape) > .98
    assert usual.alike(limits.picture, again.picture) > .98
    assert limits.area[0] < again.area[0] < again.area[1] < limits.area[1] < .6


@pytest.fixture
def run(tmp_path):
    """A run as far as its record goes, and its data set of phantoms."""
    for kind in ("images", "masks"):
        (tmp_path / "source" / "train" / kind).mkdir(parents=True)
    for k in range(8):
        for kind, pixels in zip(("images", "masks"), phantom.draw([2, k], size=96), strict=False):
            cv2.imwrite(str(tmp_path / "source" / "train" / kind / f"P{k}.png"), pixels)
    prepare.restructure(tmp_path / "source", workspace.data_dir("chests"))
    folder = workspace.run_dir("mine")
    sha256 = datasets.load_manifest(workspace.data_dir("chests"))["data_sha256"]
    runs.open_run(folder, parameters={"dataset": "chests"}, data_sha256=sha256)
    workspace.release(folder, purpose="training")
    (folder / "best.keras").write_bytes(b"")
    return folder


def test_a_run_is_judged_by_its_training_pairs(run):
    folder = workspace.data_dir("chests")
    names = datasets.load_manifest(folder)["split"]["train"]
    wanted = usual.learn(datasets.read_pair(folder, name) for name in names)
    for model in (run, run / "best.keras"):
        found = usual.limits_for(model)
        assert (found.area, found.parts, found.doubt) == (wanted.area, 2, usual.Limits().doubt)
        assert found.chests


def test_another_organ_is_no_chest(run, monkeypatch):
    monkeypatch.setattr(datasets, "read_pair", lambda folder, name: next(iter(pairs(1))))
    assert not usual.limits_for(run).chests


def test_at_most_so_many_pairs_are_read(run, monkeypatch):
    monkeypatch.setattr(usual, "_PAIRS", 3)
    read, real = [], datasets.read_pair
    monkeypatch.setattr(datasets, "read_pair", lambda *names: read.append(names) or real(*names))
    assert usual.limits_for(run).parts == 2 and 2 <= len(read) <= 3


@pytest.mark.parametrize("lost", ["data", "changed", "record", "older"])
def test_without_its_data_a_run_has_a_limit_for_doubt_alone(run, lost):
    record = json.loads((run / "run.json").read_text())
    if lost == "data":
        shutil.rmtree(workspace.data_dir("chests"))
    elif lost == "record":
        (run / "run.json").unlink()
    else:
        changed = {"data_sha256": "0"} if lost == "changed" else {"parameters": {}}
        (run / "run.json").write_text(json.dumps(record | changed))
    assert usual.limits_for(run) == usual.limits_for(run / "best.keras") == usual.Limits()
    assert re.search("area=None, parts=None", repr(usual.limits_for(run)))

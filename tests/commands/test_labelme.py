"""What is written for LabelMe reads back as the mask, and is of LabelMe's form."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_sets import LEFT, RIGHT

from unet_lib import phantom
from unet_lib.commands import labelme
from unet_lib.intake import annotations

DISC = cv2.circle(np.zeros((80, 90), np.uint8), (45, 40), 30, 1, -1) > 0


def written(folder: Path, mask, **more) -> dict:
    labelme.write(folder / "x.json", mask, picture="x.png", **more)
    return json.loads((folder / "x.json").read_text("utf-8"))


def read_back(folder: Path, mask, **more) -> annotations.Planes:
    written(folder, mask, **more)
    return annotations.read(folder / "x.json", "x.png", shape=mask.shape)


def overlap(mask, other) -> float:
    return np.count_nonzero(mask & other) / np.count_nonzero(mask | other)


def drawn(*boxes, shape=(24, 30)) -> np.ndarray:
    """Return a mask of boxes: (PART or HOLE, (top, bottom, left, right))."""
    mask = np.zeros(shape, bool)
    for hole, (top, bottom, left, right) in boxes:
        mask[top:bottom, left:right] = not hole
    return mask


PART, HOLE = False, True
CASES = {
    "one pixel": drawn((PART, (5, 6, 7, 8))),
    "a line across": drawn((PART, (5, 6, 2, 28))),
    "a line down": drawn((PART, (0, 24, 3, 4))),
    "a thin diagonal": np.eye(24, 30, dtype=bool),
    "all corners": drawn(*((PART, (r, r + 1, c, c + 1)) for r in (0, 23) for c in (0, 29))),
    "the whole picture": np.ones((24, 30), bool),
    "touching the border": drawn((PART, (0, 10, 0, 12)), (PART, (14, 24, 20, 30))),
    "several parts": drawn((PART, (2, 9, 2, 9)), (PART, (2, 9, 11, 20)), (PART, (15, 20, 4, 22))),
    "a hole": drawn((PART, (2, 22, 2, 28)), (HOLE, (8, 12, 8, 16))),
    "a hole of one pixel": drawn((PART, (4, 10, 4, 10)), (HOLE, (6, 7, 7, 8))),
    "three holes": drawn((PART, (1, 23, 1, 29)), *((HOLE, (5, 9, c, c + 4)) for c in (4, 12, 20))),
    "a ring along the border": drawn((PART, (0, 24, 0, 30)), (HOLE, (1, 23, 1, 29))),
    "an island in a hole": drawn((PART, (2, 22, 2, 28)), (HOLE, (5, 19, 5, 25)),
                                 (PART, (10, 14, 12, 18))),
    "a disc": DISC,
    "noise": np.random.default_rng(0).random((24, 30)) < 0.4,
    "a row of pixels": np.array([[1, 0, 1, 1, 0, 1]], bool),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_mask_reads_back(case, tmp_path):
    planes = read_back(tmp_path, CASES[case])
    assert overlap(CASES[case], planes.masks["lung"]) >= 0.99
    assert planes.notes == {}


@pytest.mark.parametrize("hole", [(50, 51, 40, 41), (50, 51, 40, 46), (50, 52, 40, 42)])
def test_a_small_hole_in_a_large_part_is_kept(hole, tmp_path):
    mask = drawn((PART, (5, 115, 5, 115)), (HOLE, hole), shape=(120, 120))
    empty = ~read_back(tmp_path, mask).masks["lung"][10:110, 10:110]
    assert 1 <= empty.sum() <= (~mask[10:110, 10:110]).sum()


def test_holes_stay_holes_for_a_reader_by_the_even_odd_rule(tmp_path):
    """OpenCV paints the line too; one pixel away from it, it sees what was meant."""
    mask = cv2.circle(DISC.astype(np.uint8), (40, 45), 8, 0, -1)
    (shape,) = written(tmp_path, mask > 0)["shapes"]
    painted = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(painted, [np.round(np.array(shape["points"]) - 0.5).astype(np.int32)], 1)
    box = np.ones((5, 5), np.uint8)
    inside, hole = cv2.erode(mask, box) > 0, cv2.erode(1 - mask, box) > 0
    assert painted[inside].all()
    assert painted[hole].mean() < 0.15  # the seam of the cut alone


@pytest.mark.parametrize("number", range(4))
def test_lungs_need_few_points(number, tmp_path):
    mask = phantom.draw(number, size=256)[1] > 0
    shapes = written(tmp_path, mask)["shapes"]
    rings, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    assert len(shapes) == len(rings)
    assert sum(len(s["points"]) for s in shapes) < sum(map(len, rings)) / 10


def test_the_outline_strays_by_a_pixel_at_most(tmp_path):
    mask = np.zeros((1200, 1000), np.uint8)  # so large that 0.99 would let it stray by three
    mask = cv2.ellipse(mask, (500, 600), (440, 560), 20, 0, 360, 1, -1) > 0
    shapes = written(tmp_path, mask)["shapes"]
    lines = [np.array(shape["points"], np.float32) for shape in shapes]
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    rim = mask & ~(cv2.erode(mask.astype(np.uint8), cross) > 0)
    for row, column in np.argwhere(rim):  # half a pixel from the edge of the mask
        centre = (column + 0.5, row + 0.5)
        assert min(abs(cv2.pointPolygonTest(line, centre, True)) for line in lines) <= 1.51


def test_the_file_is_of_labelmes_form(tmp_path):
    path = tmp_path / "out/labelme/a/x.json"
    labelme.write(path, LEFT | RIGHT, picture="x.png")
    found = json.loads(path.read_text("utf-8"))
    assert found.keys() == {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight",
                            "imageWidth", "drawn by U-Net Lowered"}  # fmt: skip
    assert found["version"].startswith("5.") and found["imageData"] is None
    assert found["imagePath"] == "x.png"
    assert (found["imageHeight"], found["imageWidth"]) == (64, 64)
    assert {s["label"] for s in found["shapes"]} == {"lung"}
    assert {s["shape_type"] for s in found["shapes"]} == {"polygon"}
    assert annotations.kind(path) == "labelme" and annotations.images_of(path) == ["x.png"]


def test_an_empty_mask_has_no_shape(tmp_path):
    assert written(tmp_path, np.zeros((8, 9), bool))["shapes"] == []


def test_classes_bear_their_labels(tmp_path):
    numbers = RIGHT * np.uint8(1) + LEFT * np.uint8(2)
    planes = read_back(tmp_path, numbers, labels=["right lung", "left lung"])
    assert overlap(planes.masks["right lung"], RIGHT) == 1
    assert overlap(planes.masks["left lung"], LEFT) == 1


@pytest.mark.parametrize("mask", [np.full((4, 4), 2), np.full((4, 4), -1), np.ones((4, 4, 1))])
def test_what_is_no_mask_is_refused(mask, tmp_path):
    with pytest.raises(ValueError, match="numbers from 0 to 1, one for each"):
        written(tmp_path, mask)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path, monkeypatch):
    before = written(tmp_path, DISC)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        written(tmp_path, ~DISC)
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    assert json.loads((tmp_path / "x.json").read_text("utf-8")) == before
